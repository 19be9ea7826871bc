"""What the replies to one transaction mean for its recipients."""

import pytest

from merpati.delivery.verdicts import Circumstances, judge
from merpati.journal.events import Attempt
from merpati.mail.address import Address
from merpati.mail.envelope import Envelope, Notify, Recipient
from merpati.queue.entry import State, Waiting
from merpati.smtp.answers import Answer
from merpati.smtp.client_events import Mailing
from merpati.smtp.outgoing import Outgoing

OK = Answer(250, b"250 2.0.0 OK\r\n")
ANN = Recipient(Address("ann", "a.test"), notify=Notify.SUCCESS)


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize("offers_dsn", [False, True])
def test_success_is_ours_to_tell_where_the_other_side_has_no_dsn(lmtp, offers_dsn):
    mailing = Mailing(Outgoing(Envelope(None), (ANN,), 1), pipelined=False, chunked=False)
    mailing.commands = [b"MAIL FROM:<>\r\n", b"RCPT TO:<ann@a.test>\r\n"]
    mailing.mail = mailing.data = OK
    mailing.rcpts, mailing.verdicts, mailing.finished = [OK], [OK], True
    around = Circumstances(Attempt(route="x"), lmtp, offers_dsn)
    [judged] = judge(mailing, (Waiting(0, ANN, State.IN_HAND, due=0.0),), around)
    assert judged.outcome.relayed_without_dsn is not offers_dsn
