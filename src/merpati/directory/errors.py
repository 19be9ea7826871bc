"""What goes wrong with names, fit to show to an operator."""

from merpati.errors import MerpatiError


class DirectoryError(MerpatiError):
    """A name that exists already, does not exist, or leads in a circle."""
