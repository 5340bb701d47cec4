"""The thread that writes the journal."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from app.engines.embedded.commit import Call, Connect, GroupCommit, Post, Write

MAX_BATCH: Final = 2_000

SLOW: Final = 5.0
"""Seconds after which a write that has not returned is taken for a failure of the store."""


class JournalWriter(Protocol):
    """What commits the changes that are put, in their order, while the event loop goes on."""

    @property
    def error(self) -> str | None:
        """Why the last commit failed; None while all is well."""

    def start(self) -> None:
        """Begin to write."""

    def put(self, write: Write[Any]) -> None:
        """Queue a change; never blocks."""

    def close(self, ended: Call) -> None:
        """Write what is queued, as far as the store lets it, then end; `ended` is posted last."""


MakeWriter: TypeAlias = Callable[[Connect, Post], JournalWriter]


class Writer:
    """The thread, which owns the connection that writes."""

    def __init__(self, connect: Connect, post: Post) -> None:
        self._commit = GroupCommit(connect, post)
        self._post = post
        self._queue: queue.SimpleQueue[Write[Any] | None] = queue.SimpleQueue()
        self._closing = False
        self._writing_since: float | None = None
        self._ended: Call = lambda: None
        self._thread = threading.Thread(target=self._work, name="awaitd-journal", daemon=True)

    @property
    def error(self) -> str | None:
        """Why the last commit failed, or has not returned; None while all is well."""
        since = self._writing_since
        if since is not None and (seconds := time.monotonic() - since) >= SLOW:
            return f"a write of the journal has not returned for {seconds:.0f} s"
        return self._commit.error

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, write: Write[Any]) -> None:
        """Queue a change; never blocks."""
        self._queue.put(write)

    def close(self, ended: Call) -> None:
        """Write what is queued, as far as the store lets it, then end; `ended` is posted last."""
        self._ended = ended
        self._queue.put(None)

    def _work(self) -> None:
        while not self._done():
            batch = self._next_batch()
            if batch or self._commit.error is not None:
                self._writing_since = time.monotonic()
                self._commit.write(batch)
                self._writing_since = None
        self._commit.close()
        self._post(self._ended)

    def _done(self) -> bool:
        """When closing: all is written, or the store goes on failing."""
        return self._closing and (self._commit.error is None or self._commit.gives_up)

    def _next_batch(self) -> list[Write[Any]]:
        """What has queued up; waits for the first, while failing not for long."""
        queued: list[Write[Any]] = []
        try:
            self._take(queued, self._queue.get(timeout=self._commit.pause))
            while len(queued) < MAX_BATCH and not self._closing:
                self._take(queued, self._queue.get_nowait())
        except queue.Empty:
            pass
        return queued

    def _take(self, queued: list[Write[Any]], write: Write[Any] | None) -> None:
        if write is None:
            self._closing = True
        else:
            queued.append(write)
