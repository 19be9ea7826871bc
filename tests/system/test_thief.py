"""A whole server of two workers whose user's password is stolen: the thief is stopped, the owner
told, and nothing that was queued is lost."""

import smtplib
from pathlib import Path

import pytest

from merpati.testing.operator import Attended
from merpati.testing.plain_server import PlainServer
from merpati.testing.process import free_port
from tests.system.far import Far
from tests.system.test_server import Server, wait_for

pytestmark = pytest.mark.slow


class Accepting(PlainServer):
    """Takes everything."""


class Submission(Attended, Server):
    """With a port for logins on loopback, and small quotas."""

    def __init__(self, folder: Path, far: int) -> None:
        super().__init__(folder, workers=2)
        self.door = free_port()
        self.config.write_text(
            'postmaster = "bob@a.test"\n'
            + self.config.read_text()
            + f'[[port]]\nrole = "submission"\nlisten = "127.0.0.1:{self.door}"\n'
            "auth_without_tls = true\n"
            f'[[route]]\nmatch = ["*"]\nto = "smtp://127.0.0.1:{far}"\ntls = "off"\n'
            "[submission]\nnew_recipients_per_day = 3\nmessages_per_day = 20\n"
        )
        self.populate()
        self.ask("user", "add", "bob@a.test", "--password-stdin", text="other words\n")

    def send_as_ann(self, to: str, sender: str = "ann@a.test") -> str:
        """A connection and a message; the refusal, or nothing."""
        with smtplib.SMTP("127.0.0.1", self.door, timeout=60) as client:
            client.login("ann@a.test", "secret words")
            try:
                client.sendmail(sender, [to], b"Subject: x\r\n\r\nhello\r\n")
            except smtplib.SMTPSenderRefused as error:
                return f"{error.smtp_code} {bytes(error.smtp_error).decode()}"
            except smtplib.SMTPRecipientsRefused as error:
                ((code, text),) = error.recipients.values()
                return f"{code} {text.decode()}"
            return ""

    def refusal_of_mail(self) -> str:
        """What MAIL is answered with, or nothing; no message is sent."""
        with smtplib.SMTP("127.0.0.1", self.door, timeout=60) as client:
            client.login("ann@a.test", "secret words")
            code, text = client.mail("ann@a.test")
            return "" if code == 250 else f"{code} {text.decode()}"

    def inbox(self, user: str) -> list[str]:
        folder = self.folder / "var/mail/a.test" / user / "new"
        return [one.read_text() for one in sorted(folder.glob("*"))]


def test_a_thief_is_stopped_the_owner_told_and_the_mail_goes_on_when_it_is_resumed(
    tmp_path: Path,
) -> None:
    with Far(Accepting) as far:
        server = Submission(tmp_path, far.port)
        with server:
            site = f"smtp://127.0.0.1:{far.port}?tls=off"
            assert server.send_as_ann("0@far.test") == ""
            wait_for(lambda: len(far.ledger.received) == 1)
            server.ask("queue", "suspend", site)
            assert [server.send_as_ann(f"{n}@far.test") for n in (1, 2)] == [""] * 2
            refusal = server.send_as_ann("3@far.test")
            assert refusal.startswith("550 5.7.13 ann@a.test may not send: more than 3 recipients")
            # To strangers at once, on whichever worker.
            assert server.send_as_ann("4@far.test").startswith("550 5.7.13")
            # To whom she knows, and what waits: the other worker looks every five seconds.
            wait_for(lambda: server.refusal_of_mail().startswith("550 5.7.13"))
            states = lambda: {one["state"] for one in server.ask_json("queue", "list")}  # noqa: E731
            wait_for(lambda: states() == {"held"})
            wait_for(lambda: bool(server.inbox("ann") and server.inbox("bob")))
            for user in ("ann", "bob"):
                (told,) = server.inbox(user)
                assert "Subject: Sending from ann@a.test is suspended" in told
                assert "more than 3 recipients in a day that were new to it" in told
                assert "lebih dari 3 penerima baru baginya dalam sehari" in told
                assert "merpati user resume ann@a.test" in told

            assert "ann@a.test may not send since" in server.ask("status")
            new = "3 of 3 new recipients today"
            wait_for(lambda: new in server.ask("user", "show", "ann@a.test"))
            story = server.ask("trace", "ann@a.test")
            assert "ann@a.test may not send any more, by merpati" in story
            assert 'merpati_accounts_total{result="suspended"' in server.page("/metrics")[1]

            server.ask("queue", "resume", site)
            server.ask("user", "resume", "ann@a.test")
            wait_for(lambda: len(far.ledger.received) == 3)
            wait_for(lambda: server.ask_json("queue", "list") == [])
            assert server.send_as_ann("5@far.test") == ""
            wait_for(lambda: len(far.ledger.received) == 4)
            wait_for(lambda: '"kind":"account-resumed"' in server.output())
            assert len(server.inbox("ann")) == 1


class Front(Submission):
    """With an `mx` port beside, where a front on this machine names the logins."""

    def __init__(self, folder: Path, far: int) -> None:
        super().__init__(folder, far)
        port = f'listen = "127.0.0.1:{self.mx}"\n'
        text = self.config.read_text()
        self.config.write_text(text.replace(port, f'{port}xclient = ["127.0.0.1/32"]\n'))

    def send_as_ann(self, to: str, sender: str = "ann@a.test") -> str:
        with smtplib.SMTP("127.0.0.1", self.mx, timeout=60) as client:
            client.ehlo()
            code, text = client.docmd("XCLIENT ADDR=198.51.100.9 LOGIN=ann@a.test")
            assert code == 220, text
            client.ehlo()
            for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>", "DATA"):
                code, text = client.docmd(command)
                if code >= 400:
                    return f"{code} {text.decode()}"
            client.send(b"Subject: x\r\n\r\nhello\r\n.\r\n")
            code, text = client.getreply()
            return "" if code == 250 else f"{code} {text.decode()}"


def test_whom_a_front_names_is_held_to_quotas_and_suspension_like_who_logs_in(
    tmp_path: Path,
) -> None:
    with Far(Accepting) as far, Front(tmp_path, far.port) as server:
        assert [server.send_as_ann(f"{n}@far.test") for n in (1, 2, 3)] == [""] * 3
        refusal = server.send_as_ann("4@far.test")
        assert refusal.startswith("550 5.7.13 ann@a.test may not send: more than 3 recipients")
        wait_for(lambda: server.send_as_ann("bob@a.test").startswith("550 5.7.13"))
        server.ask("user", "resume", "ann@a.test")
        server.ask("user", "quotas", "ann@a.test", "--messages", "1")
        assert server.send_as_ann("bob@a.test") == ""
        assert server.send_as_ann("bob@a.test").startswith("452 4.7.1 ann@a.test may send no more")


def test_what_an_administrator_granted_may_be_sent_as_and_counts_survive_a_restart(
    tmp_path: Path,
) -> None:
    with Far(Accepting) as far:
        server = Submission(tmp_path, far.port)
        with server:
            assert server.send_as_ann("bob@a.test", "shop@c.test").startswith("553 5.7.1")
            server.ask("user", "senders", "add", "ann@a.test", "@c.test")
            assert server.send_as_ann("bob@a.test", "shop@c.test") == ""
            server.ask("user", "quotas", "ann@a.test", "--messages", "2")
            server.stop()
        with server:
            assert server.send_as_ann("bob@a.test") == ""
            assert server.send_as_ann("bob@a.test").startswith(
                "452 4.7.1 ann@a.test may send no more than 2 messages a day; go on at "
            )
