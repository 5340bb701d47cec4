"""The progress of a job, on stderr where that is a terminal; elsewhere nothing."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

from app.visible import visible

if TYPE_CHECKING:
    from app.client import JobEvent, JobHandle


@contextmanager
def progress_of(job: "JobHandle", url: str) -> Iterator[None]:
    """Show what the job reports while the block runs, and wipe it away at the end.

    The block waits for the job by itself: that the bar cannot follow it changes nothing.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    bar = _Bar()
    with bar.display:
        threading.Thread(target=bar.follow, args=(job.id, url), daemon=True).start()
        yield


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.display = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.fields[percentage]}", markup=False),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._line = self.display.add_task("", total=None, percentage="")

    def follow(self, job_id: UUID, url: str) -> None:
        """Show the events of a job; with a client of its own, which nobody closes meanwhile."""
        from app.client import Awaitd, AwaitdError

        with suppress(AwaitdError), Awaitd(url) as client:
            for event in client.job(job_id).events():
                self._show(event)

    def _show(self, event: "JobEvent") -> None:
        if event.job is not None:
            self.display.update(self._line, description=event.job.status)
        if event.progress is not None:
            fraction = event.progress.fraction
            self.display.update(
                self._line,
                total=None if fraction is None else 1.0,
                completed=fraction or 0.0,
                percentage="" if fraction is None else f"{fraction:4.0%}",
                description=visible(event.progress.message or ""),
            )
