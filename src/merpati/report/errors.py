"""What goes wrong with reports of others."""

from merpati.errors import MerpatiError


class ReportError(MerpatiError):
    """Octets that are no report, or one that is not accepted; the message says why."""
