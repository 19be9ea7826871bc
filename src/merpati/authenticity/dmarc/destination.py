"""Where reports may go: only to who is of the same organization or has said yes (RFC 9990 §4)."""

from collections.abc import Iterable
from dataclasses import dataclass

from merpati.authenticity.dmarc.record import mail_address, read_record
from merpati.authenticity.dmarc.walk import Published, Walks
from merpati.authenticity.questions import Asking, txt
from merpati.dns.errors import DnsError
from merpati.mail.address import MAX_DOMAIN, Address

_UNANSWERED = "whether it agrees could not be asked for"


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where a domain's reports go, and where not."""

    permitted: tuple[Address, ...] = ()
    uris: tuple[str, ...] = ()
    """How the record names each of them."""
    refused: tuple[tuple[str, str], ...] = ()
    """(URI, why)."""
    is_settled: bool = True
    """False: the DNS gave no answer about one that was refused; ask again later."""


def find_destinations(
    published: Published, uris: Iterable[str], *, failures: bool = False
) -> Asking[Destinations]:
    """Of the URIs of a record's rua, or of its ruf for reports of failures. Never raises.

    Whoever is named without having agreed would be flooded by anybody who publishes a record.
    """
    walks = Walks()
    permitted: dict[Address, str] = {}
    refused: list[tuple[str, str]] = []
    for uri in dict.fromkeys(uris):
        found = yield from _check(published.domain, uri, walks, failures)
        if isinstance(found, str):
            refused.append((uri, found))
        else:
            permitted.setdefault(found, uri)
    is_settled = all(why is not _UNANSWERED for _, why in refused)
    return Destinations(
        tuple(permitted), tuple(permitted.values()), tuple(refused), is_settled=is_settled
    )


def _check(domain: str, uri: str, walks: Walks, failures: bool) -> Asking[Address | str]:
    address = mail_address(uri)
    if address is None:
        return "no address for mail"
    try:
        own = yield from walks.walk(domain)
        theirs = yield from walks.walk(address.domain)
        if own.organizational == theirs.organizational:
            return address
        return (yield from _ask(domain, address, failures))
    except DnsError:
        return _UNANSWERED


def _ask(domain: str, address: Address, failures: bool) -> Asking[Address | str]:
    name = f"{domain}._report._dmarc.{address.domain}"
    if len(name) > MAX_DOMAIN:
        return "its name is too long to be asked for"
    answer = yield from txt(name)
    record = next(filter(None, map(read_record, answer.records)), None)
    if record is None:
        return f"it has not agreed: no record at {name}"
    others = record.failure if failures else record.aggregate
    if not others:
        return address
    # Step 9: it may choose another of its own addresses, and nobody else's.
    instead = mail_address(others[0])
    if instead is None or instead.domain != address.domain:
        return "it names somebody else instead"
    return instead
