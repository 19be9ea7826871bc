"""The tables of merpati.toml about certificates: `[tls]` and `[acme]`."""

from enum import Enum
from typing import Annotated

from merpati.certificates.keys import KeyType
from merpati.config.table import Table, between, key
from merpati.config.values import CertificateName, Duration, Mailbox
from merpati.wire.endpoint import Endpoint

_meaning = key
"""The same where a table has a key of that name."""


class Challenge(Enum):
    """How a CA is shown that a name is ours."""

    HTTP = "http"
    DNS = "dns"
    HOOK = "hook"


class OrderTable(Table, frozen=True):
    """One more certificate from the same CA."""

    names: Annotated[
        tuple[CertificateName, ...], key("The names in it; by the first it is called.")
    ]


class AcmeTable(Table, frozen=True):
    """Certificates from a CA, got and renewed by itself (ACME), and shown as those of `[tls]` are.
    Needs the extra `acme`. Until there is one, the server shows what else it has."""

    terms_agreed: Annotated[
        bool, key("You have read the CA's terms of service and agree: nothing is asked without.")
    ] = False
    directory: Annotated[
        str,
        key("The CA's directory: `https://...`. Without it that of Let's Encrypt."),
    ] = "https://acme-v02.api.letsencrypt.org/directory"
    names: Annotated[
        tuple[CertificateName, ...],
        key("The names in the certificate; without any, `hostname`."),
    ] = ()
    challenge: Annotated[
        Challenge,
        key(
            "`http`: the CA asks each name on port 80, where `listen` or `[http]` answers, or a "
            "web server that passes `/.well-known/acme-challenge/` on; `dns`: a record is written "
            "into the DNS as `[[dns.update]]` says; `hook`: a program of yours does that. For "
            "wildcards it is one of these two."
        ),
    ] = Challenge.HTTP
    listen: Annotated[
        Endpoint | None,
        key('An HTTP door for the CA alone, `"[::]:80"`, opened before root becomes `user`.'),
    ] = None
    hook: Annotated[
        tuple[str, ...],
        key(
            'The program and its first arguments: `["/usr/local/bin/dns"]`. It is called with '
            "`present` or `cleanup`, the name of a TXT record, and its text; status 0 is success."
        ),
    ] = ()
    settle: Annotated[
        Duration,
        between(0, 3_600),
        key("How long it takes until every name server has what was written into the DNS."),
    ] = Duration(30)
    key_type: Annotated[
        KeyType, key("The kind of a new key. A key stays until `merpati certificate roll`.")
    ] = KeyType.P256
    contact: Annotated[
        tuple[Mailbox, ...], key("Where the CA writes to when something is wrong.")
    ] = ()
    eab_id: Annotated[
        str, key("The identifier of an account that you have at the CA (EAB), if it wants one.")
    ] = ""
    eab_key_file: Annotated[
        str, key("File with that account's MAC key (base64url); nobody else may read it.")
    ] = ""
    authorities: Annotated[
        str, key("PEM file of those who sign the web server of a CA of your own.")
    ] = ""
    certificate: tuple[OrderTable, ...] = ()


class HostTable(Table, frozen=True):
    """One more certificate, shown to clients that ask for one of the names in it."""

    certificate: Annotated[str, key("PEM file with the certificate and its chain.")]
    key: Annotated[str, key("PEM file with its private key.")]


class TlsTable(Table, frozen=True):
    """Certificates in files, of all ports. Clients are shown the one for the name that they ask for
    (SNI); whoever asks for none gets the first: `certificate` here, then `[[tls.host]]`,
    `directory`, `[acme]`. Files that change are taken up within seconds. Without any certificate
    one is made at the first start that nobody can verify."""

    certificate: Annotated[
        str, key("PEM file with the certificate and its chain, relative to this file.")
    ] = ""
    directory: Annotated[
        str,
        key(
            "A directory of certificates, each as `NAME.pem` beside `NAME.key`, or as a directory "
            "with `fullchain.pem` and `privkey.pem` (as `/etc/letsencrypt/live` has them), or "
            "`tls.crt` and `tls.key`. New ones are found while the server runs."
        ),
    ] = ""
    host: tuple[HostTable, ...] = ()
    # The last, since from here on the name means this value.
    key: Annotated[
        str, _meaning("PEM file with the private key, relative to this file. May be the same file.")
    ] = ""
