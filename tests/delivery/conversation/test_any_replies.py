"""Any octets from the server: each transaction that was taken is finished exactly once."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merpati.delivery.lesson import SiteMemory
from merpati.delivery.outcome import Result
from merpati.delivery.transaction import TlsDemand
from merpati.smtp.rung import Rung
from merpati.testing.caller import hello_reply
from merpati.testing.conversations import WAY, Scene, a_message
from merpati.testing.plain_server import Ledger, PlainServer
from merpati.wire.errors import WireError
from merpati.wire.stream import Stream

HELLO = hello_reply(
    ["PIPELINING", "CHUNKING", "SIZE 100", "STARTTLS", "AUTH PLAIN", "LIMITS RCPTMAX=2"]
)
LINES = [
    b"220 mx\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n250 ok\r\n", b"354 go\r\n",
    b"235 in\r\n",
    b"421 4.3.2 bye\r\n", b"450 4.2.0 later\r\n", b"550 5.1.1 no\r\n", b"503 5.5.1 order\r\n",
    b"452 4.5.3 too many\r\n", b"555 what?\r\n", b"250-more\r\n", b"oops\r\n", b"25", b"\r\n",
    b"554 5.7.1 blocked by spamhaus\r\n", HELLO,
]  # fmt: skip
REPLIES = st.lists(
    st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=8)), max_size=6).map(b"".join),
    max_size=12,
)


class Parrot:
    """Greets, answers hello, then says the next of its lines at each read; then it goes."""

    def __init__(self, said: list[bytes], stays: bool) -> None:
        self._said = said
        self._stays = stays

    async def serve(self, stream: Stream) -> None:
        try:
            for octets in (b"220 mx\r\n", HELLO, *self._said):
                stream.write(octets)
                if not await stream.read():
                    break
            while self._stays and await stream.read():
                pass
            await stream.close()
        except WireError:
            stream.abort()


@pytest.mark.slow
@settings(max_examples=2 * settings.default.max_examples)
@given(REPLIES, st.booleans(), st.sampled_from(Rung), st.booleans(), st.booleans())
def test_every_transaction_is_finished_once(
    said: list[bytes], stays: bool, rung: Rung, lmtp: bool, plain: bool
) -> None:
    tls = TlsDemand.OFF if plain else TlsDemand.OPPORTUNISTIC
    scene = Scene(
        lambda ledger: Parrot(said, stays),
        replace(WAY, lmtp=lmtp, tls=tls),
        SiteMemory(rung),
    )
    messages = [
        a_message(1, "a@b.test", "b@b.test", "c@b.test"),
        a_message(2),
        a_message(3, body=b"x" * 200 + b"\r\n"),
        a_message(4, "a@b.test", "b@b.test"),
        a_message(5),
    ]
    end = asyncio.run(scene.play(*messages))
    source = scene.source
    assert (end is None) == (scene.opened is not None)
    # ListSource refuses what is finished twice, or with other recipients.
    assert len(source.outcomes) == len(source.taken)
    everything = [result for results in source.results() for result in results]
    # RFC 5321 §4.3.2: of a code that is not expected the first digit counts.
    assert Result.DELIVERED not in everything or b"2" in b"".join(said)


@pytest.mark.slow
@given(st.lists(st.sampled_from([b"ok", b"no", b"later"]), max_size=12), st.sampled_from(Rung))
def test_an_honest_server_and_we_agree_on_what_was_delivered(
    kinds: list[bytes], rung: Rung
) -> None:
    scene = Scene(PlainServer, memory=SiteMemory(rung), ledger=Ledger())
    messages = [a_message(n, f"{kind.decode()}{n}@b.test") for n, kind in enumerate(kinds)]
    asyncio.run(scene.play(*messages))
    told = {
        str(taken.recipients[0].recipient.address)
        for taken in scene.source.taken
        if scene.source.outcomes[taken.entry.id][0].result is Result.DELIVERED
    }
    assert told == {one.recipients[0] for one in scene.ledger.received}
