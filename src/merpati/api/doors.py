"""What concerns the server as a whole: taking in mail of this machine, status, reload, stop."""

from typing import Protocol

from merpati.api import questions as ask
from merpati.report.metrics import Series


class Doors(Protocol):
    """A server as its operator sees it; a command without a server has a smaller one."""

    async def submit(self, question: ask.Submission) -> ask.Queued:
        """Put a message of this machine into the queue, judged as any other."""
        ...

    async def status(self, question: ask.Nothing) -> ask.Status:
        """How it is."""
        ...

    async def health(self, question: ask.Nothing) -> ask.Health:
        """Whether mail can be stored."""
        ...

    async def metrics(self, question: ask.Nothing) -> list[Series]:
        """What was counted."""
        ...

    async def send_reports(self, question: ask.SendReports) -> ask.Done:
        """Send reports to other domains before their time; how many there are."""
        ...

    async def reload(self, question: ask.Reload) -> ask.Done:
        """Read the configuration again; a bad one is refused and changes nothing."""
        ...

    async def restart(self, question: ask.Nothing) -> ask.Done:
        """Begin to replace the workers, one after the other; returns at once."""
        ...

    async def stop(self, question: ask.Nothing) -> ask.Done:
        """Begin to stop gracefully; returns at once."""
        ...
