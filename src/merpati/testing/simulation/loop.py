"""An event loop without a machine: time moves on when nothing is left to do, nothing comes from
outside, and everything that runs belongs to a life which can end between two callbacks.

Two runs of the same program over this loop do the same in the same order. What asyncio leaves to
chance is taken from it: the hash of a task, which orders the sets that tasks are kept in, is its
number; an executor works at once, inline.
"""

import asyncio
import contextvars
import gc
import sys
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StuckError(Exception):
    """Nothing is ready and nothing will ever be: whoever waits waits for ever."""


@dataclass(eq=False, slots=True)
class Life:
    """Everything that one process runs. When it ends, not one callback of it runs any more."""

    name: str
    is_over: bool = False
    tasks: "dict[_NumberedTask, None]" = field(default_factory=dict)
    """That are not done."""


_LIFE: "contextvars.ContextVar[Life | None]" = contextvars.ContextVar("life", default=None)


class _NumberedTask(asyncio.Task[Any]):
    """A task that sorts into a set by its number and not by its place in memory."""

    number = 0
    _log_destroy_pending: bool

    def __hash__(self) -> int:
        return self.number


class _Idle:
    """Stands where a loop keeps its selector: there is nobody to hear from, so time passes."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        self._loop.turn(timeout)
        return []


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs until what it is given is done, as fast as it can be computed."""

    # As `BaseEventLoop` keeps them, though its stubs do not say so.
    _ready: "deque[asyncio.Handle]"
    _scheduled: "list[asyncio.TimerHandle]"

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = _Idle(self)
        self._numbers = count(1)
        self._lives: list[Life] = []
        self._world = Life("the world")
        """Of what belongs to no other."""
        self._is_dumb = False
        self.turns = 0
        self.watch: Callable[[], None] = lambda: None
        """Called between any two turns of the loop: an invariant is looked at here."""
        self.defects: list[BaseException] = []
        """What nobody caught."""
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._keep_defect)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    @property
    def life(self) -> Life | None:
        """That which runs now."""
        return _LIFE.get()

    def turn(self, timeout: float | None) -> None:
        """One turn is over: look at the invariants, and let time pass if nothing is ready."""
        self.turns += 1
        self.watch()
        if timeout is None:
            raise StuckError("nothing is ready, and no timer runs")
        if timeout > 0:
            # As far as the timer says, not by a difference that was rounded.
            self._now = max(self._now, self._scheduled[0].when())

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Not for what belongs to a life that is over."""
        if self._is_dumb or _is_over(context):
            return _never(self, context)
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """There are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Not for what belongs to a life that is over."""
        if self._is_dumb or _is_over(context):
            handle = asyncio.TimerHandle(when, callback, args, self, context)
            handle.cancel()
            return handle
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Inline: a thread would be as fast as the machine is."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def begin(self, life: Life, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run this, and all that comes of it, as part of a life."""
        context = contextvars.copy_context()
        context.run(_LIFE.set, life)
        self._lives.append(life)
        return self.create_task(coroutine, context=context)

    def end(self, life: Life) -> None:
        """kill -9: what it would have done next is not done, nor any clean-up."""
        life.is_over = True
        for handle in [*self._ready, *self._scheduled]:
            if _is_over(handle._context):  # type: ignore[attr-defined]  # as above
                handle.cancel()

    def bury(self) -> None:
        """Let go of what is left of all, without a sound. The loop is of no use afterwards."""
        self._is_dumb = True
        with _silence():
            for life in [*self._lives, self._world]:
                for task in life.tasks:
                    task._log_destroy_pending = False
                    with suppress(BaseException):
                        task.get_coro().close()
                life.tasks.clear()
            self._ready.clear()
            self._scheduled.clear()
            gc.collect()

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **given: Any
    ) -> "asyncio.Task[Any]":
        context = given.get("context")
        life = context.get(_LIFE) if context is not None else _LIFE.get()
        task = _NumberedTask.__new__(_NumberedTask)
        task.number = next(self._numbers)
        task.__init__(coroutine, loop=loop, **given)  # type: ignore[misc]  # numbered before it is hashed
        life = life or self._world
        tasks = life.tasks
        tasks[task] = None
        task.add_done_callback(lambda _: tasks.pop(task))
        return task

    def _keep_defect(self, loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        error = told.get("exception") or RuntimeError(str(told.get("message")))
        self.defects.append(error)

    def _process_events(self, events: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""


def _is_over(context: contextvars.Context | None) -> bool:
    life = _LIFE.get() if context is None else context.get(_LIFE)
    return life is not None and life.is_over


def _never(loop: asyncio.AbstractEventLoop, context: contextvars.Context | None) -> asyncio.Handle:
    handle = asyncio.Handle(_nothing, (), loop, context)
    handle.cancel()
    return handle


def _nothing() -> None:
    """Is never called."""


@contextmanager
def _silence() -> Iterator[None]:
    """Whatever the clean-up of the dead says or raises is nobody's business."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda told: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook


@contextmanager
def simulated() -> Iterator[SimulatedLoop]:
    """A loop, closed behind its use. Nothing is collected meanwhile: a collector comes when it
    likes, and what it closes may act."""
    loop = SimulatedLoop()
    was_collecting = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield loop
    finally:
        loop.bury()
        loop.close()
        gc.unfreeze()
        if was_collecting:
            gc.enable()
