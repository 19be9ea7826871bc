"""Work beside the mail that must never stop it: a failure is told, and it begins again."""

from collections.abc import Awaitable, Callable

from merpati.clock import Clock
from merpati.errors import MerpatiError
from merpati.system.log import Log

_PAUSE = 5.0


async def keep_on(name: str, work: Callable[[], Awaitable[None]], clock: Clock, log: Log) -> None:
    """Run `work` until it ends by itself or is cancelled. A sick disk may be well in a moment."""
    while True:
        try:
            await work()
            return
        except MerpatiError as error:
            log.warning(name, str(error))
        except Exception as error:
            # A defect in telling or tidying: the trace is in the log, mail goes on.
            log.defect(name, error)
        await clock.sleep(_PAUSE)
