"""Says that this worker lives, from a thread: a busy event loop is no dead worker."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import psycopg

from app.engines.postgres.connections import SESSION, conninfo
from app.engines.postgres.outage import Outage

_REGISTER: Final = "SELECT worker_id FROM procrastinate_register_worker_v1()"

_Db: TypeAlias = psycopg.Connection[tuple[Any, ...]]


class Heartbeat:
    """Registers a worker and beats. `registered` and `lost` are called on the event loop."""

    def __init__(
        self,
        url: str,
        every: float,
        about: tuple[int, list[str]],
        registered: Callable[[int], None],
        lost: Callable[[], None],
    ) -> None:
        self._conninfo = conninfo(url)
        self._every = every
        self._about = about
        self._registered = registered
        self._lost = lost
        self._outage = Outage("the heartbeat")
        self._stop = threading.Event()
        self._next = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._id: int | None = None

    async def start(self) -> None:
        """Register, and begin to beat."""
        self._loop = asyncio.get_running_loop()
        db = await asyncio.to_thread(self._connect)
        try:
            self._id = await asyncio.to_thread(self._register, db)
        except psycopg.Error:
            db.close()
            raise
        self._registered(self._id)
        self._thread = threading.Thread(
            target=self._run, args=(db,), name="awaitd-heartbeat", daemon=True
        )
        self._thread.start()

    def doubt(self) -> None:
        """See now whether this worker was taken for dead."""
        self._next.set()

    async def stop(self) -> None:
        """Leave: what still runs here is for others to apply the crash rule to."""
        self._stop.set()
        self._next.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, self._every + 10)

    def _run(self, db: _Db) -> None:
        while not self._stop.is_set():
            self._next.wait(self._every)
            self._next.clear()
            if self._stop.is_set():
                break
            try:
                if db.closed:
                    db = self._connect()
                self._beat(db)
                self._outage.end()
            except (psycopg.Error, OSError) as error:
                self._outage.begin(error)
                with contextlib.suppress(psycopg.Error, OSError):
                    db.close()
        with contextlib.suppress(psycopg.Error, OSError), db:
            db.execute("SELECT procrastinate_unregister_worker_v1(%s)", (self._id,))

    def _beat(self, db: _Db) -> None:
        sql = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %s RETURNING id"
        if db.execute(sql, (self._id,)).fetchone() is None:  # taken for dead
            self._call(self._lost)
            self._id = self._register(db)
            self._call(self._registered, self._id)

    def _register(self, db: _Db) -> int:
        with db.transaction():
            [[worker_id]] = db.execute(_REGISTER).fetchall()
            db.execute(
                "INSERT INTO workers VALUES (%s, %s, %s, %s)", (worker_id, _name(), *self._about)
            )
        return int(worker_id)

    def _connect(self) -> _Db:
        db = psycopg.connect(self._conninfo, autocommit=True)
        try:
            db.execute(SESSION)
        except psycopg.Error:
            db.close()
            raise
        return db

    def _call(self, function: Callable[..., None], *values: object) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *values)


def _name() -> str:
    """What this process is called among the workers."""
    return f"{socket.gethostname()}:{os.getpid()}"
