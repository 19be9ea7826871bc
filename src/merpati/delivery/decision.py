"""A conversation before which is asked what its host must prove."""

from collections.abc import Callable
from dataclasses import replace

from merpati.delivery.conversation import Conversation, Surroundings
from merpati.delivery.dane import Undecided
from merpati.delivery.ending import End, Ending
from merpati.delivery.lesson import SiteMemory
from merpati.delivery.security import Decider, Policy, Unlisted
from merpati.delivery.transaction import Host, Source, Way
from merpati.diagnosis.replies import Stage
from merpati.errors import MerpatiError
from merpati.feedback.tls import ResultType
from merpati.journal.events import MAX_TEXT, Opened
from merpati.storage.errors import StorageError


class Decided:
    """`open` once, then `run` once, as with a `Conversation`."""

    def __init__(
        self,
        way: Way,
        host: Host,
        decider: Callable[[], Decider],
        surroundings: Surroundings,
        memory: SiteMemory,
    ) -> None:
        self._way = way
        self._host = host
        self._decider = decider
        self._around = surroundings
        self._memory = memory
        self._conversation: Conversation | None = None

    async def open(self) -> End | None:
        """Decide, then connect. Who cannot be decided about now is not connected to."""
        way, host = self._way, self._host
        try:
            security = await self._decider().decide(way, host, self._memory)
        except Undecided as error:
            failure = ResultType.DNSSEC_INVALID.value if error.bogus else ""
            return self._left_alone(str(error), Policy.DANE, failure)
        except Unlisted as error:
            return self._left_alone(str(error), Policy.STS_ENFORCE, ResultType.FAILED.value)
        except StorageError as error:
            return End(Ending.OURS, str(error), Stage.CONNECT)
        self._conversation = Conversation(way, host, security, self._around, self._memory)
        return await self._conversation.open()

    async def run(self, source: Source) -> End:
        """See `Conversation`."""
        if self._conversation is None:
            raise MerpatiError("the conversation was not opened")
        return await self._conversation.run(source)

    def _left_alone(self, why: str, policy: Policy, failure: str) -> End:
        name, host = self._around.entropy(10).hex(), self._host
        self._around.note(
            Opened(
                at=self._around.clock.now(),
                connection=name,
                site=self._way.site,
                host=host.name,
                ip=host.ip,
                port=host.port,
                policy=policy.value,
                tls_failure=failure,
                error=why[:MAX_TEXT],
            )
        )
        end = End(Ending.TLS_FAILED, why, Stage.CONNECT, connection=name, policy=policy.value)
        return replace(end, failure=failure)
