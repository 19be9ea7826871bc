"""One AUTH as a client's connection carries it: base64, lines, and when to stop (RFC 4954 §4)."""

import base64
import binascii

from merpati.smtp.answers import Answer
from merpati.smtp.sasl.exchange import ClientExchange, SaslError

# RFC 4954 §4 (with erratum 5224): an initial response that would make the command longer than
# RFC 5321 §4.5.3.1.4 allows is not sent with it but asked for by an empty challenge.
_MAX_COMMAND = 512
# SCRAM has two; a server that never ends must not keep us for ever.
_MAX_CHALLENGES = 10
_CANCEL = b"*\r\n"


class Login:
    """Turns an exchange into lines. After an `error` nothing that the server says counts."""

    def __init__(self, exchange: ClientExchange) -> None:
        self.error = ""
        """Why the server is not to be trusted."""
        self._exchange = exchange
        self._postponed: bytes | None = None
        self._challenges = 0

    def command(self) -> bytes:
        """The AUTH command."""
        initial = self._exchange.initial()
        line = f"AUTH {self._exchange.mechanism}".encode("ascii")
        # RFC 4954 §4: an empty initial response is said as "=".
        full = line if initial is None else line + b" " + (base64.b64encode(initial) or b"=")
        if len(full) + 2 > _MAX_COMMAND:
            self._postponed, full = initial, line
        return full + b"\r\n"

    def response(self, answer: Answer) -> bytes | None:
        """The line for a challenge: a cancel if it is not to be trusted; None: it asks too much."""
        self._challenges += 1
        if self.error or self._challenges > _MAX_CHALLENGES:
            return None
        try:
            challenge = base64.b64decode(answer.octets[4:].strip(), validate=True)
            return base64.b64encode(self._respond(challenge)) + b"\r\n"
        except binascii.Error:
            self.error = "the challenge is not base64"
        except SaslError as error:
            self.error = str(error)
        return _CANCEL

    def succeed(self) -> None:
        """The server said yes; whether it proved itself where it must stands in `error` then."""
        try:
            self._exchange.succeeded()
        except SaslError as error:
            self.error = self.error or str(error)

    def _respond(self, challenge: bytes) -> bytes:
        if self._postponed is None:
            return self._exchange.respond(challenge)
        if challenge:
            raise SaslError("the server speaks first though the mechanism has the client do so")
        initial, self._postponed = self._postponed, None
        return initial
