"""Addresses and domains as a question spells them."""

from merpati.api.errors import Mistaken
from merpati.mail.address import Address, AddressError, parse_domain


def named_address(text: str) -> Address:
    """Raises Mistaken for what is no address."""
    try:
        return Address.parse(text)
    except AddressError as error:
        raise Mistaken(f"{text!r}: {error}") from error


def named_domain(text: str) -> str:
    """As the directory spells it. Raises Mistaken for what is no domain."""
    try:
        return parse_domain(text)
    except AddressError as error:
        raise Mistaken(f"{text!r}: {error}") from error
