"""What a remote refusal means: stage first, then the enhanced code, then the words."""

from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """Where in the conversation a reply came."""

    CONNECT = "connect"
    HELLO = "hello"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """To DATA itself."""
    BODY = "body"
    """To the final dot or a BDAT."""


class Refusal(Enum):
    """Classes of refusal; each has one reaction (docs/delivery.md has the table)."""

    PROTOCOL = "protocol"
    RECIPIENT = "recipient"
    SPLIT = "split"
    GREYLIST = "greylist"
    MESSAGE = "message"
    SENDER = "sender"
    CONNECTION = "connection"
    RATE = "rate"
    STORAGE = "storage"
    REPUTATION = "reputation"


@dataclass(frozen=True, slots=True)
class Meaning:
    """A refusal understood."""

    refusal: Refusal
    cause: str
    """A key of the diagnosis texts."""
    permanent: bool
