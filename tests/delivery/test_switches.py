"""What an operator says of a host bounds what it taught us, and never the other way round."""

from merpati.delivery.lesson import SiteMemory, Waived, limited
from merpati.delivery.transaction import Switches
from merpati.smtp.rung import Rung
from tests.cases import each


@each(
    ("known", "switches", "expected"),
    [
        (SiteMemory(), Switches(), SiteMemory()),
        (SiteMemory(), Switches(lookahead=False), SiteMemory(Rung.NO_LOOKAHEAD)),
        (SiteMemory(Rung.LOCKSTEP), Switches(lookahead=False), SiteMemory(Rung.LOCKSTEP)),
        (SiteMemory(), Switches(max_messages=5), SiteMemory(max_messages=5)),
        (SiteMemory(max_messages=3), Switches(max_messages=5), SiteMemory(max_messages=3)),
        (SiteMemory(max_messages=9), Switches(max_messages=5), SiteMemory(max_messages=5)),
        (SiteMemory(), Switches(max_recipients=5), SiteMemory(max_rcpt=5)),
        (SiteMemory(max_rcpt=3), Switches(max_recipients=5), SiteMemory(max_rcpt=3)),
        (SiteMemory(waived=Waived.TLS), Switches(), SiteMemory(waived=Waived.TLS)),
    ],
)
def test_the_lower_of_what_is_said_and_known_holds(
    known: SiteMemory, switches: Switches, expected: SiteMemory
) -> None:
    assert limited(known, switches) == expected
