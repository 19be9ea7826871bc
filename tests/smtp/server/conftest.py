"""The one builder of every dialogue here."""

from collections.abc import Callable
from typing import Any

import pytest

from merpati.smtp.events import ChunkReceived, ContentReceived
from merpati.smtp.replies import BARE_NEWLINE
from merpati.testing.dialogue import WAYS, Player, a_player, split

Turn = tuple[bytes, str]


def check(*turns: Turn, ways: tuple[str, ...] = WAYS, **options: Any) -> Player:
    """Play the turns in every way; each must bring exactly the expected replies.

    A turn is what the client says, and the beginnings of the replies it gets, separated by `|`.
    All ways must ask the same and read the same content. Gives back the player of the first way.
    """
    players = [_play(turns, way, options) for way in ways]
    for player in players:
        assert _essence(player) == _essence(players[0])
        assert player.content == players[0].content
        assert player.connection.state is players[0].connection.state
    return players[0]


def _essence(player: Player) -> list[object]:
    """What happened. Of several flaws the one that is told depends on how octets arrived."""
    return [
        type(event)(event.size, event.flaw and BARE_NEWLINE)
        if isinstance(event, ContentReceived | ChunkReceived)
        else event
        for event in player.events
    ]


def _play(turns: tuple[Turn, ...], way: str, options: dict[str, Any]) -> Player:
    player = a_player(**options)
    for octets, expected in turns:
        sent = b"".join(player.say(piece) for piece in split(octets, way))
        replies = [line for line in sent.decode().splitlines() if line[3] == " "]
        beginnings = expected.split("|") if expected else []
        assert len(replies) == len(beginnings), (way, octets, sent)
        for reply, beginning in zip(replies, beginnings, strict=True):
            assert reply.startswith(beginning), (way, octets, sent)
    return player


@pytest.fixture(name="check")
def _check() -> Callable[..., Player]:
    return check
