"""A key that has retired can be removed when no signature of it can be valid any more."""

import pytest

from merpati.api import questions as ask
from merpati.api.dkim import DkimOffice
from merpati.authenticity.dkim.signer import DEFAULTS
from merpati.directory.errors import DirectoryError
from merpati.directory.keys import DkimKey, KeyState
from merpati.directory.rotation import KEPT
from merpati.intake import IntakeSettings
from merpati.testing.clock import VirtualClock
from merpati.testing.memory_keys import MemoryKeys

DAY = 86_400.0


def test_with_the_defaults_it_is_kept_as_long_as_any_signature_is_valid() -> None:
    assert DEFAULTS.lifetime == KEPT == IntakeSettings("mx.a.test").tried + 2 * DAY


@pytest.mark.parametrize(("expire", "kept"), [(1, 14), (5, 14), (60, 69)])
async def test_it_is_kept_for_as_long_as_the_queue_may_send_what_it_signed(
    expire: int, kept: int
) -> None:
    clock, keys = VirtualClock(), MemoryKeys()
    settings = IntakeSettings("mx.a.test", max_age=expire * DAY)
    office = DkimOffice(keys, clock, lambda: settings.tried)
    for selector in ("old", "new"):
        key = DkimKey("a.test", selector, "rsa-2048", KeyState.NEXT, clock.now(), "p=", b"")
        await keys.add_key(key)
        await office.rotate(ask.Named(name="a.test"))
    retired = clock.now()
    lines = {line.selector: line for line in await office.keys(ask.Within())}
    removable = lines["old"].removable
    assert removable
    assert removable.timestamp() == retired + kept * DAY
    old = ask.DkimKeyOf(domain="a.test", selector="old")
    clock.jump(kept * DAY - 1)
    with pytest.raises(DirectoryError, match="still on its way"):
        await office.remove(old)
    clock.jump(1)
    await office.remove(old)
    assert [line.selector for line in await office.keys(ask.Within())] == ["new"]
