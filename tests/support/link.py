"""The way to a PostgreSQL server, which can be cut and mended."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Final

_SOCKET: Final = ".s.PGSQL.5432"


class Link:
    """Takes connections in a folder and passes on what is said, from a thread of its own."""

    def __init__(self, folder: Path, host: str) -> None:
        self.host = str(folder)
        """The folder of its socket, for who connects by it."""
        self._target = f"{host}/{_SOCKET}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}
        self._is_cut = False
        starting = asyncio.start_unix_server(self._taken, folder / _SOCKET)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()

    def cut(self) -> None:
        """End every connection, and every one to come at once."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    def mend(self) -> None:
        """Take connections again."""
        self._is_cut = False

    def close(self) -> None:
        """Be no more."""
        self.cut()
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cut(self) -> None:
        self._is_cut = True
        passing = [task for task in self._open.values() if task is not None]
        for writer in tuple(self._open):
            writer.transport.abort()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        self._open[writer] = asyncio.current_task()
        self._open[far_writer] = None
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        del self._open[writer], self._open[far_writer]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
