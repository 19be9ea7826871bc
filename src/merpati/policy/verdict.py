"""What a rule decides."""

from dataclasses import dataclass

from merpati.smtp.replies import Reply


@dataclass(frozen=True, slots=True)
class Verdict:
    """A refusal: what the client is told and which rule said so. No verdict means go on."""

    reply: Reply
    rule: str
    close: bool = False
    """End the connection after the reply."""
