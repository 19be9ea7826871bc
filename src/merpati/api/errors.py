"""What an operation can answer instead of an answer."""

from merpati.errors import MerpatiError


class ApiError(MerpatiError):
    """The question cannot be answered; the text says why and what to do."""


class Unknown(ApiError):
    """What was asked about does not exist (404)."""


class Mistaken(ApiError):
    """The question makes no sense (422)."""


class Unreachable(ApiError):
    """No server answers on the control socket."""


class Late(ApiError):
    """A server was asked and gives no answer in time: it may be doing what it was asked for."""
