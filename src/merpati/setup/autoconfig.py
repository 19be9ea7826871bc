"""What mail programs are told who ask a web server for their settings: Thunderbird's document
(https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat, version 1.1) and
Microsoft's (MS-OXDSCLI). Pure; what is asked is written by anybody."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, unescape

from merpati.mail.address import Address, AddressError

MAX_QUESTION = 4096
"""Octets of a question; Outlook's has some 400."""
IMAPS = 993  # RFC 8314 §3.2

_EMAIL = re.compile(r"<EMailAddress>\s*([^<>\s]{3,254})\s*</EMailAddress>", re.I)
_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover"


@dataclass(frozen=True, slots=True)
class MailHosts:
    """Where people of a domain log in, with their whole address and password."""

    domain: str
    hostname: str
    submissions: int = 0
    """Port of submission with TLS from the first octet; 0: there is none."""
    submission: int = 0
    """The same with STARTTLS."""
    imap: str = ""
    """Host where mailboxes are read, by IMAP with TLS from the first octet; empty: nobody says."""


def thunderbird(hosts: MailHosts) -> str:
    """Thunderbird takes a document only if it names where mailboxes are read, too."""
    servers = "".join(
        f'    <{name}Server type="{kind}">\n'
        f"      <hostname>{escape(host)}</hostname>\n"
        f"      <port>{port}</port>\n"
        f"      <socketType>{tls}</socketType>\n"
        "      <username>%EMAILADDRESS%</username>\n"
        "      <authentication>password-cleartext</authentication>\n"
        f"    </{name}Server>\n"
        for name, kind, host, port, tls in _servers(hosts)
    )
    domain = escape(hosts.domain)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<clientConfig version="1.1">\n'
        f'  <emailProvider id="{domain}">\n'
        f"    <domain>{domain}</domain>\n"
        f"    <displayName>{domain}</displayName>\n"
        f"{servers}"
        "  </emailProvider>\n"
        "</clientConfig>\n"
    )


def _servers(hosts: MailHosts) -> Iterator[tuple[str, str, str, int, str]]:
    if hosts.imap:
        yield "incoming", "imap", hosts.imap, IMAPS, "SSL"
    for port, tls in ((hosts.submissions, "SSL"), (hosts.submission, "STARTTLS")):
        if port:
            yield "outgoing", "smtp", hosts.hostname, port, tls


def outlook(hosts: MailHosts, address: Address) -> str:
    """One server of each kind: Outlook takes the first."""
    login = escape(str(address))
    servers = "".join(
        "      <Protocol>\n"
        f"        <Type>{kind}</Type>\n"
        f"        <Server>{escape(host)}</Server>\n"
        f"        <Port>{port}</Port>\n"
        f"        <LoginName>{login}</LoginName>\n"
        "        <DomainRequired>off</DomainRequired>\n"
        "        <SPA>off</SPA>\n"
        f"        <Encryption>{tls}</Encryption>\n"
        "        <AuthRequired>on</AuthRequired>\n"
        "      </Protocol>\n"
        for kind, host, port, tls in _protocols(hosts)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Autodiscover xmlns="{_OUTLOOK}/responseschema/2006">\n'
        f'  <Response xmlns="{_OUTLOOK}/outlook/responseschema/2006a">\n'
        "    <Account>\n"
        "      <AccountType>email</AccountType>\n"
        "      <Action>settings</Action>\n"
        f"{servers}"
        "    </Account>\n"
        "  </Response>\n"
        "</Autodiscover>\n"
    )


def _protocols(hosts: MailHosts) -> Iterator[tuple[str, str, int, str]]:
    if hosts.imap:
        yield "IMAP", hosts.imap, IMAPS, "SSL"
    if hosts.submissions:
        yield "SMTP", hosts.hostname, hosts.submissions, "SSL"
    elif hosts.submission:
        yield "SMTP", hosts.hostname, hosts.submission, "TLS"


def outlook_question(address: Address) -> bytes:
    """What Outlook asks when somebody of this address wants to log in."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Autodiscover xmlns="{_OUTLOOK}/outlook/requestschema/2006">\n'
        "  <Request>\n"
        f"    <EMailAddress>{escape(str(address))}</EMailAddress>\n"
        f"    <AcceptableResponseSchema>{_OUTLOOK}/outlook/responseschema/2006a"
        "</AcceptableResponseSchema>\n"
        "  </Request>\n"
        "</Autodiscover>\n"
    ).encode()


def asked_address(octets: bytes) -> Address | None:
    """Whose settings Outlook asks for; None for what is no such question.

    Looked for and not parsed as XML: there is one element to find, and nothing to expand.
    """
    match = _EMAIL.search(octets[:MAX_QUESTION].decode("utf-8", "replace"))
    try:
        address = Address.parse(unescape(match[1])) if match else None
    except AddressError:
        return None
    return address if address and address.domain else None
