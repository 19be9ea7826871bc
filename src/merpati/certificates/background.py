"""Work in a thread that nobody waits for at the end.

A CA, or a program of the operator's, may take its time when the server stops; an executor's threads
would keep the process from ending.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_background(work: Callable[[], T]) -> T:
    """What it returns or raises. A cancelled wait leaves the thread alone, to end by itself."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # T may be None itself

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # The loop may be closed by now.
            loop.call_soon_threadsafe(tell, result, failure)

    # `start` waits for the new thread; the loop must not (`system/threadpool`).
    await asyncio.to_thread(threading.Thread(target=run, name="certificates", daemon=True).start)
    return await done
