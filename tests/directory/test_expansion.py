"""Whoever is reached twice gets one copy, and nobody's wish about notices is lost (RFC 3461)."""

import pytest

from merpati.directory.expansion import Expander
from merpati.mail.address import Address
from merpati.mail.envelope import DEFAULT_NOTIFY, Notify, Recipient
from merpati.testing.residents import Residents
from tests.cases import each


def a_recipient(address: str, notify: Notify | None = None) -> Recipient:
    """With NOTIFY= if `notify` is given."""
    parsed = Address.parse(address)
    return Recipient(parsed) if notify is None else Recipient(parsed, notify, named_notify=True)


def expanded(*recipients: Recipient) -> tuple[Recipient, ...]:
    """Through a directory where sales leads to bob elsewhere."""
    residents = Residents()
    residents.alias("sales@a.test", "bob@b.test")
    return Expander(residents, "mx.a.test").expand(recipients).recipients


@each("turned", [False, True])
@each(
    ("bob", "sales", "notify", "named"),
    [
        (None, None, DEFAULT_NOTIFY, False),
        (None, Notify.SUCCESS, DEFAULT_NOTIFY | Notify.SUCCESS, True),
        (None, Notify.NEVER, DEFAULT_NOTIFY, True),
        (Notify.NEVER, Notify.SUCCESS, Notify.SUCCESS, True),
        (Notify.FAILURE, Notify.DELAY, Notify.FAILURE | Notify.DELAY, True),
        (Notify.NEVER, Notify.NEVER, Notify.NEVER, True),
    ],
)
def test_who_is_reached_twice_keeps_every_wish_and_passes_it_on(
    bob: Notify | None, sales: Notify | None, notify: Notify, named: bool, turned: bool
) -> None:
    both = [a_recipient("bob@b.test", bob), a_recipient("sales@a.test", sales)]
    (one,) = expanded(*(reversed(both) if turned else both))
    assert (one.notify, one.named_notify) == (notify, named)


class TestReports:
    """Reports of others come to one name at every domain here."""

    def expander(self, *names: str) -> Expander:
        residents = Residents()
        residents.move_in("ann@a.test", "x")
        residents.alias("*@a.test", "ann@a.test")
        residents.move_in("mail-reports@c.test", "x")
        return Expander(residents, "mx.a.test", reports=names)

    @pytest.mark.slow
    @pytest.mark.parametrize("local", ["mail-reports", "Mail-Reports", "mail-reports+tls"])
    def test_they_end_at_the_name_itself_and_not_at_the_catch_all(self, local: str) -> None:
        (one,) = (
            self.expander("dmarc", "mail-reports")
            .expand([a_recipient(f"{local}@a.test")])
            .recipients
        )
        assert str(one.address) == "mail-reports@a.test"
        assert self.expander("mail-reports").is_report(one.address)

    @pytest.mark.parametrize(
        "address", ["ann@a.test", "mail-reports2@a.test", "mail-reports@b.test"]
    )
    def test_others_are_not_concerned(self, address: str) -> None:
        assert not self.expander("mail-reports").is_report(Address.parse(address))

    def test_a_user_of_that_name_keeps_his_mail(self) -> None:
        assert not self.expander("mail-reports").is_report(Address.parse("mail-reports@c.test"))

    def test_without_a_name_there_are_none(self) -> None:
        expander = self.expander()
        assert not expander.is_report(Address.parse("mail-reports@a.test"))
        found = expander.find(Address.parse("mail-reports@a.test"))
        assert found is not None
        assert [str(one) for one in found.mailboxes] == ["ann@a.test"]
