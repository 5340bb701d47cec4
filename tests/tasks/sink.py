"""Where a job of a test reports to."""

import asyncio

from app.jobs.models import Progress


class RecordingSink:
    """Keeps every progress and log line of a job."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.messages: list[str | None] = []
        self.lines: list[str] = []
        self._changed = asyncio.Event()

    def progress(self, progress: Progress) -> None:
        self.fractions.append(progress.fraction or 0)
        self.messages.append(progress.message)
        self._changed.set()

    def log(self, message: str) -> None:
        self.lines.append(message)

    async def shows(self, message: str) -> None:
        """Returns when the job has shown this progress."""
        while message not in self.messages:
            self._changed.clear()
            await self._changed.wait()
