"""What can go wrong in the protocol: our own mistakes, and the peer's."""

from merpati.errors import MerpatiError
from merpati.smtp.replies import Reply


class ProtocolError(MerpatiError):
    """This side broke its own state machine: a defect here, never something a peer can cause."""


class CommandError(MerpatiError):
    """The peer said something malformed; `reply` is what it is told."""

    def __init__(self, reply: Reply, *, fatal: bool = False) -> None:
        """`fatal`: what follows cannot be trusted, the connection closes after the reply."""
        super().__init__(str(reply))
        self.reply = reply
        self.fatal = fatal
