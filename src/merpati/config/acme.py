"""What `[acme]` must be beyond the types of its keys."""

from collections.abc import Iterator

from merpati.config.document import Document
from merpati.config.locate import Path
from merpati.config.tls import AcmeTable, Challenge

MAX_NAMES = 100
"""In one certificate: what public CAs allow."""

Found = Iterator[tuple[Path, str, str]]


def check_acme(document: Document) -> Found:
    """Every contradiction, with its place and what would be right."""
    if (acme := document.acme) is None:
        return
    if not acme.terms_agreed:
        yield ("acme",), "needs terms_agreed = true", "Read the terms of the CA first"
    if not acme.names and not document.hostname:
        # The system's name may take a look into the DNS, and change.
        yield ("acme", "names"), "is missing, and there is no hostname", "Write one of them"
    if not acme.directory.startswith("https://"):
        yield ("acme", "directory"), "is no URL of https", "It begins with https://"
    if bool(acme.eab_id) != bool(acme.eab_key_file):
        yield ("acme",), "eab_id and eab_key_file belong together", ""
    if acme.challenge is Challenge.HOOK and not acme.hook:
        yield ("acme", "challenge"), "needs hook beside it", 'Example: hook = ["/path/to/program"]'
    if acme.challenge is Challenge.DNS and not document.dns.update:
        yield ("acme", "challenge"), "needs [[dns.update]], which is not there", ""
    if acme.challenge is Challenge.HTTP:
        yield from _by_http(document, acme)
    yield from _names(acme)


def _names(acme: AcmeTable) -> Found:
    names = [acme.names, *(order.names for order in acme.certificate)]
    for n, one in enumerate(names):
        place: Path = ("acme", "certificate", n - 1, "names") if n else ("acme", "names")
        if n and not one:
            yield place, "is empty", 'Example: names = ["mail.b.test"]'
        if len(one) > MAX_NAMES:
            yield place, f"has {len(one)} names", f"Allowed: up to {MAX_NAMES} in one certificate"
    firsts = [one[0] for one in names if one]
    for name in sorted({one for one in firsts if firsts.count(one) > 1}):
        yield ("acme",), f"{name} is the first name of two certificates", "They are called by it"


def _by_http(document: Document, acme: AcmeTable) -> Found:
    if acme.listen is None and not (document.http and document.http.listen):
        yield ("acme",), "nobody would answer the CA", 'Write listen = "[::]:80" here or in [http]'
    for names in (acme.names, *(order.names for order in acme.certificate)):
        for name in names:
            if name.startswith("*."):
                # RFC 8555 §7.1.3, CA/B: a wildcard is proven by the DNS alone.
                yield ("acme",), f"{name} cannot be proven by HTTP", 'Use challenge = "dns"'
    taken = [port.listen for port in document.port]
    taken += [end for _, end in document.http.doors()] if document.http else []
    if acme.listen and acme.listen.port and acme.listen in taken:
        yield ("acme", "listen"), "another door listens there already", ""
