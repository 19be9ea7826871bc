"""The root of every error that Merpati raises.

MerpatiError
├── mail.address.AddressError        text that is no address
├── smtp.errors.ProtocolError        this side broke its own state machine (a defect here)
├── wire.errors.WireError            the connection failed; .cause says how
├── dns.errors.DnsError              no usable answer
├── authenticity.tags.TagError       octets that are no list of tags
├── authenticity.results.ResultsError  text that is no Authentication-Results
├── authenticity.dkim …              KeyPairError, SignatureError, Unsignable
├── authenticity.arc.chain.ChainError  ARC sets that are no chain
├── authenticity.srs.SrsError        an address that is no rewritten sender of ours
├── storage.errors.StorageError      the database refused: full, damaged, too new, taken
├── directory.errors.DirectoryError  a name that exists already or does not exist
├── delivery.route.RouteError        text that names no way for mail to go
├── report.errors.ReportError  octets that are no report, or one that is refused
└── config.errors.ConfigError        file, line, what is wrong, what is allowed
"""


class MerpatiError(Exception):
    """Something that Merpati promised could not be done; the text is fit to show to an operator."""
