"""What can go wrong when others are asked who somebody is."""

from merpati.errors import MerpatiError


class IdentityUnavailable(MerpatiError):
    """It cannot be known now: whoever knows it gave no answer, or none that can be believed.

    Never a reason to let somebody in, nor to say that they are wrong.
    """
