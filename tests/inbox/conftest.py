"""A developer's inbox for these tests, by the fixture that users have."""

from merpati.testing.plugin import _merpati_inbox_server, merpati_inbox

__all__ = ["_merpati_inbox_server", "merpati_inbox"]
