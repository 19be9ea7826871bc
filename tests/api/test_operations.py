"""Every operation, asked in a command and over the control socket: the answers are the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from merpati.api import http
from merpati.api import operations as op
from merpati.api import questions as ask
from merpati.api.client import RemoteCounter, read_answer, short_path
from merpati.api.errors import ApiError, Mistaken, Unknown, Unreachable
from merpati.api.operations import Counter
from merpati.config.settings import Settings, load
from merpati.directory.directory import Suspension
from merpati.directory.store import DirectoryStore
from merpati.errors import MerpatiError
from merpati.mail.address import Address
from merpati.storage.connection import Kind, StorageSettings
from merpati.storage.database import Database
from merpati.system.office import own_counter
from merpati.system.web import serving
from merpati.wire.endpoint import Endpoint
from merpati.wire.sockets import bind
from tests.cases import each

CONTENT = b"From: ann@a.test\r\nSubject: x\r\n\r\nhello\r\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "merpati.toml"
    file.write_text('hostname = "mx.a.test"\n')
    return load(file)


@asynccontextmanager
async def remote(own: Counter, folder: Path) -> AsyncIterator[Counter]:
    """The same counter over a socket in a new folder."""
    folder.mkdir(parents=True)
    with short_path(folder / "control.sock") as path:
        listening = bind(Endpoint(path=path), mode=0o600)
    async with serving(http.control(own), listening, 1.0):
        yield RemoteCounter(folder / "control.sock")


@pytest.fixture(params=[pytest.param("in a command", marks=pytest.mark.slow), "over the socket"])
async def counter(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path
) -> AsyncIterator[Counter]:
    async with own_counter(settings) as own:
        if request.param == "in a command":
            yield own
            return
        async with remote(own, tmp_path / "near") as over_the_socket:
            yield over_the_socket


async def populate(counter: Counter) -> None:
    await counter.ask(op.DOMAINS_ADD, ask.Named(name="A.test"))
    await counter.ask(op.USERS_ADD, ask.NewUser(address="ann@a.test", password="secret words"))


async def submit(counter: Counter, *to: str) -> str:
    question = ask.Submission(sender="ann@a.test", recipients=to, content=CONTENT)
    receipt = await counter.ask(op.SUBMIT, question)
    assert receipt.code == 250, receipt.reply
    return receipt.id


async def queued(counter: Counter, wanted: ask.Filter = ask.Filter()) -> list[ask.QueueLine]:  # noqa: B008
    return await counter.ask(op.QUEUE_LIST, ask.ListQueue(filter=wanted))


async def test_whom_another_worker_has_just_suspended_can_be_resumed(
    settings: Settings,
) -> None:
    async with own_counter(settings) as counter:
        await populate(counter)
        await counter.ask(op.USERS_SHOW, ask.Named(name="ann@a.test"))
        file = settings.data / "directory.db"
        database = Database(StorageSettings(file, Kind.DIRECTORY))
        await database.open()
        another = DirectoryStore(database)
        await another.open()
        ann = Address("ann", "a.test")
        await another.suspend(ann, Suspension(1.0, "stolen"), login=True)
        resumed = ask.Suspension(address="ann@a.test", suspended=False)
        assert (await counter.ask(op.USERS_SUSPEND, resumed)).changed == 1
        assert await another.suspensions() == []
        another.close()
        await database.close()


@pytest.mark.slow
async def test_what_was_added_is_listed(counter: Counter) -> None:
    await populate(counter)
    alias = ask.NewAlias(alias="sales@a.test", targets=("ann@a.test",))
    await counter.ask(op.ALIASES_ADD, alias)
    assert await counter.ask(op.DOMAINS, ask.Nothing()) == ["a.test"]
    (user,) = await counter.ask(op.USERS, ask.Within())
    assert user == ask.UserLine(address="ann@a.test", suspended=False)
    (line,) = await counter.ask(op.ALIASES, ask.Within(domain="a.test"))
    assert line.targets == ("ann@a.test",)


async def test_what_exists_already_is_refused_in_words(counter: Counter) -> None:
    await populate(counter)
    with pytest.raises(MerpatiError, match=r"a\.test"):
        await counter.ask(op.DOMAINS_ADD, ask.Named(name="a.test"))


async def test_an_address_that_is_none_is_refused(counter: Counter) -> None:
    with pytest.raises(MerpatiError, match="no-at-sign"):
        await counter.ask(op.USERS_ADD, ask.NewUser(address="no-at-sign", password="x"))


async def test_an_empty_password_is_refused(counter: Counter) -> None:
    await counter.ask(op.DOMAINS_ADD, ask.Named(name="a.test"))
    with pytest.raises(Mistaken, match="empty"):
        await counter.ask(op.USERS_ADD, ask.NewUser(address="ann@a.test", password=""))


@pytest.mark.slow
async def test_app_passwords_are_named_and_revoked(counter: Counter) -> None:
    await populate(counter)
    new = ask.NewPassword(address="ann@a.test", password="for the phone", program="phone")
    await counter.ask(op.PASSWORDS_SET, new)
    (line,) = await counter.ask(op.PASSWORDS, ask.Named(name="ann@a.test"))
    assert (line.program, line.last_used) == ("phone", None)
    await counter.ask(op.PASSWORDS_REVOKE, ask.Program(address="ann@a.test", program="phone"))
    assert await counter.ask(op.PASSWORDS, ask.Named(name="ann@a.test")) == []


async def test_passwords_of_nobody_are_unknown(counter: Counter) -> None:
    with pytest.raises(Unknown, match=r"nobody@a\.test"):
        await counter.ask(op.PASSWORDS, ask.Named(name="nobody@a.test"))


async def test_a_submitted_message_waits_with_a_line_for_each_recipient(counter: Counter) -> None:
    await populate(counter)
    message = await submit(counter, "ann@a.test", "bob@b.test")
    lines = await queued(counter)
    assert [(line.id, line.recipient) for line in lines] == [
        (message, "ann@a.test"),
        (message, "bob@b.test"),
    ]


async def test_pages_continue_behind_the_last_line(counter: Counter) -> None:
    await populate(counter)
    for n in range(3):
        await submit(counter, f"bob{n}@b.test")
    first = await counter.ask(op.QUEUE_LIST, ask.ListQueue(limit=2))
    after = (first[-1].id, first[-1].n)
    rest = await counter.ask(op.QUEUE_LIST, ask.ListQueue(limit=2, after=after))
    assert [line.recipient for line in first + rest] == [f"bob{n}@b.test" for n in range(3)]


async def test_what_is_held_is_told_as_held_until_its_release(counter: Counter) -> None:
    await populate(counter)
    await submit(counter, "bob@b.test")
    await submit(counter, "eve@c.test")
    only_b = ask.Filter(domain="b.test")
    done = await counter.ask(op.QUEUE_ALTER, ask.AlterQueue(filter=only_b, action="hold"))
    assert done.changed == 1
    (held,) = await queued(counter, ask.Filter(state="held"))
    assert held.recipient == "bob@b.test"
    await counter.ask(op.QUEUE_ALTER, ask.AlterQueue(filter=only_b, action="release"))
    assert await queued(counter, ask.Filter(state="held")) == []


async def test_crons_mail_to_root_waits_for_the_first_user(counter: Counter) -> None:
    await populate(counter)
    await submit(counter, "root@mx.a.test")
    (line,) = await queued(counter)
    assert line.recipient == "ann@a.test"


async def test_a_story_tells_what_waits_behind_a_hold(counter: Counter) -> None:
    await populate(counter)
    message = await submit(counter, "bob@b.test")
    (line,) = await queued(counter)
    await counter.ask(op.SITES_HOLD, ask.HoldSite(site=line.site, seconds=600, why="repairs"))
    (story,) = await counter.ask(op.STORY, ask.AskStory(id=message))
    (waits,) = story.waiting
    assert (waits.address, waits.state, waits.site_why) == ("bob@b.test", "waiting", "repairs")
    assert waits.next_try == waits.site_until > waits.since


async def test_a_cancelled_message_is_gone_and_its_story_stays(counter: Counter) -> None:
    await populate(counter)
    message = await submit(counter, "bob@b.test")
    chosen = ask.Filter(ids=(message,))
    await counter.ask(op.QUEUE_ALTER, ask.AlterQueue(filter=chosen, action="cancel"))
    assert await queued(counter) == []
    (story,) = await counter.ask(op.STORY, ask.AskStory(id=message))
    kinds = [type(event).__name__ for event in story.events]
    assert kinds == ["Accepted", "Cancelled"]


async def test_the_whole_queue_is_altered_only_when_that_is_said(counter: Counter) -> None:
    await populate(counter)
    await submit(counter, "bob@b.test")
    with pytest.raises(Mistaken, match="--all"):
        await counter.ask(op.QUEUE_ALTER, ask.AlterQueue(filter=ask.Filter(), action="cancel"))
    question = ask.AlterQueue(filter=ask.Filter(), action="cancel", everything=True)
    assert (await counter.ask(op.QUEUE_ALTER, question)).changed == 1


async def test_a_route_that_is_none_is_refused(counter: Counter) -> None:
    chosen = ask.Filter(domain="b.test")
    question = ask.AlterQueue(filter=chosen, action="reroute", route="nowhere")
    with pytest.raises(Mistaken, match="nowhere"):
        await counter.ask(op.QUEUE_ALTER, question)


async def test_a_queued_message_is_read_and_cut_where_asked(counter: Counter) -> None:
    await populate(counter)
    message = await submit(counter, "bob@b.test")
    whole = await counter.ask(op.QUEUE_READ, ask.ReadMessage(id=message))
    assert whole.complete
    assert whole.octets.endswith(CONTENT)
    cut = await counter.ask(op.QUEUE_READ, ask.ReadMessage(id=message, octets=10))
    assert (len(cut.octets), cut.complete) == (10, False)


async def test_what_is_not_known_says_so(counter: Counter) -> None:
    with pytest.raises(Unknown, match="nope"):
        await counter.ask(op.QUEUE_READ, ask.ReadMessage(id="nope"))
    with pytest.raises(Unknown, match="nope"):
        await counter.ask(op.STORY, ask.AskStory(id="nope"))
    assert await counter.ask(op.STORY, ask.AskStory(address="nobody@a.test")) == []


async def test_a_site_is_held_with_its_reason_and_resumed(counter: Counter) -> None:
    await counter.ask(op.SITES_HOLD, ask.HoldSite(site="mx.b.test", seconds=60, why="moving"))
    (held,) = await counter.ask(op.SITES_HELD, ask.Nothing())
    assert (held.site, held.why) == ("mx.b.test", "moving")
    await counter.ask(op.SITES_HOLD, ask.HoldSite(site="mx.b.test", seconds=0))
    assert await counter.ask(op.SITES_HELD, ask.Nothing()) == []


async def test_bare_newlines_are_refused_at_this_door_too(counter: Counter) -> None:
    await populate(counter)
    question = ask.Submission(
        sender="ann@a.test", recipients=("bob@b.test",), content=b"Subject: x\r\n\r\na\n.\nb\r\n"
    )
    receipt = await counter.ask(op.SUBMIT, question)
    assert (receipt.id, receipt.code) == ("", 554)


async def test_unknown_recipients_here_are_refused(counter: Counter) -> None:
    await populate(counter)
    question = ask.Submission(sender="", recipients=("nobody@a.test",), content=CONTENT)
    receipt = await counter.ask(op.SUBMIT, question)
    assert receipt.reply.startswith("550 5.1.1")


async def test_without_a_server_there_is_nothing_to_reload_or_stop(counter: Counter) -> None:
    assert not (await counter.ask(op.STATUS, ask.Nothing())).running
    for operation in (op.RELOAD, op.STOP):
        with pytest.raises(Mistaken, match="no server runs"):
            await counter.ask(operation, ask.Nothing())


async def test_a_socket_may_lie_deeper_than_a_socket_s_address_is_long(
    settings: Settings, tmp_path: Path
) -> None:
    async with own_counter(settings) as own, remote(own, tmp_path / ("deep/" * 30)) as counter:
        assert await counter.ask(op.DOMAINS, ask.Nothing()) == []


async def test_no_server_is_told_as_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"control\.sock"):
        await RemoteCounter(tmp_path / "control.sock").ask(op.STATUS, ask.Nothing())


async def test_one_owner_at_a_time(settings: Settings) -> None:
    async with own_counter(settings) as first, own_counter(settings) as second:
        assert first is not None
        assert second is None


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation.name for operation in op.OPERATIONS]
    assert len(set(names)) == len(names)
    declared = {one.name for one in vars(op).values() if isinstance(one, op.Operation)}
    assert declared == set(names)


def test_errors_of_the_api_are_errors_of_merpati() -> None:
    assert issubclass(ApiError, MerpatiError)


@each(
    "octets",
    [
        b"",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b'HTTP/1.0 200 OK\r\n\r\n{"changed": ',
        b'HTTP/1.0 200 OK\r\n\r\n{"changed": "\xff"}',
        b"HTTP/1.0 2000 OK\r\n\r\n{}",
        b"220 mx.a.test ESMTP\r\n",
    ],
)
def test_an_answer_that_is_cut_or_another_program_s_is_no_answer(octets: bytes) -> None:
    with pytest.raises(Unreachable):
        read_answer(op.DOMAINS_ADD, octets)
