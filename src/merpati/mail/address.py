"""Addresses: one parser for SMTP, headers, commands, directory (RFC 5321 §4.1.2, RFC 6531)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox. `Address.parse(str(a)) == a` for every address that exists."""

    local: str
    """Unquoted; as written, case kept. May be UTF-8 (RFC 6531)."""
    domain: str
    """Lower case; A-labels, or an address literal in brackets. Empty only for `<postmaster>`."""
