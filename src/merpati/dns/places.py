"""Who may ask now, so that names that nobody answers for keep no others waiting.

A question is asked in one of few places. Of those who wait, the first that came and the last that
came go on by turns: a new one need not wait for thousands of dead ones before it, and the old ones
come to their turn however many are new. Most have their answer soon. Who has none after a moment is
late: it leaves its place to the next and waits for its answer outside, with all the time that it
had. The late are bounded as well; when one becomes late beyond that, the one that waits for longest
is ended. So however many names are dead, every `moment` all places are free again, and nobody is
ended before `moment * (1 + late / places)` seconds.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class _Question:
    """One under way."""

    deadline: asyncio.Timeout
    is_late: bool = False


class Places:
    """Gives out places."""

    def __init__(self, places: int, late: int, moment: float) -> None:
        """Without room for the `late` a place is kept to the end. `moment` is in seconds."""
        self._free = places
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._takes_last = False
        self._room = late
        self._moment = moment
        self._late: dict[_Question, None] = {}  # The one that waits for longest first.

    @asynccontextmanager
    async def place(self, deadline: asyncio.Timeout) -> AsyncIterator[None]:
        """Wait for a place and keep it, at most to the end of the block.

        `deadline` is one around it, that ends who must go.
        """
        await self._wait_place()
        question = _Question(deadline)
        timer = asyncio.get_running_loop().call_later(self._moment, self._delay, question)
        try:
            yield
        finally:
            timer.cancel()
            self._late.pop(question, None)
            if not question.is_late:
                self._give_place()

    async def _wait_place(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled():
                self._give_place()
            raise

    def _give_place(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popitem(last=self._takes_last)
            self._takes_last = not self._takes_last
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _delay(self, question: _Question) -> None:
        if not self._room:
            return
        if len(self._late) >= self._room:
            self._end(next(iter(self._late)))
        question.is_late = True
        self._late[question] = None
        self._give_place()

    def _end(self, question: _Question) -> None:
        del self._late[question]
        if not question.deadline.expired():
            question.deadline.reschedule(asyncio.get_running_loop().time())
