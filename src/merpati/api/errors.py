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
