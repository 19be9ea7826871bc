"""What every server's exchange does with a response before it reads it."""

from merpati.smtp.sasl.exchange import MAX_RESPONSE, Challenge, Rejected, SaslError, Step

_CANCELLED = Rejected("the client cancelled", cancelled=True)


class Turns:
    """Asks for what was not said, takes `*` for the end, and ends for whatever is malformed."""

    mechanism = ""
    prompt = b""
    """The challenge where the client sent no initial response."""

    def __init__(self) -> None:
        self._username = ""
        self._began = False

    def step(self, response: bytes | None) -> Step:
        """Take the client's next response; see `ServerExchange`."""
        began, self._began = self._began, True
        if response is None:
            return _CANCELLED if began else Challenge(self.prompt)
        try:
            if len(response) > MAX_RESPONSE:
                raise SaslError("too long")
            return self._read(response)
        except SaslError as error:
            return Rejected(f"{self.mechanism}: {error}", self._username, malformed=True)

    def _read(self, response: bytes) -> Step:
        """What the response leads to. Raises SaslError for what it cannot be."""
        raise SaslError("no response is expected")
