"""A web site on loopback for the link checker to read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self


def response(status: str, body: str = "", **headers: str) -> bytes:
    """An answer as it goes over the wire; `_` in header names means `-`."""
    content = body.encode()
    headers |= {"Content_Length": str(len(content))}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}\r\n".encode() + content


def html(*links: str, rest: str = "") -> bytes:
    """A page with these links."""
    body = "".join(f'<a href="{link}">' for link in links) + rest
    return response("200 OK", body, Content_Type="text/html; charset=utf-8")


class Site:
    """A web site on loopback. Visitors of `held` paths wait until `release` is set."""

    def __init__(self, pages: Callable[[str], bytes], *held: str) -> None:
        self.pages = pages
        self.held = held
        self.release = asyncio.Event()
        self.url = ""
        self.heads: list[str] = []
        self.waiting = 0
        self._changed = asyncio.Condition()
        self.visitors: set[asyncio.Task[None]] = set()

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [head.split(" ")[1] for head in self.heads]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        async with await asyncio.start_server(self._visit, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self
        self.release.set()
        await asyncio.gather(*self.visitors)

    async def have_waiting(self, visitors: int) -> None:
        """Returns when so many visitors wait for a held path."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.waiting == visitors)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitor = asyncio.current_task()
        assert visitor is not None
        self.visitors.add(visitor)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                path = self.asked[-1]
                if path in self.held:
                    await self._hold()
                writer.write(self.pages(path))
        writer.close()

    async def _hold(self) -> None:
        self.waiting += 1
        async with self._changed:
            self._changed.notify_all()
        await self.release.wait()
        self.waiting -= 1


def site_of(pages: dict[str, bytes], *held: str) -> Site:
    """A site with these pages and no others."""
    return Site(lambda path: pages.get(path, response("404 Not Found", "<p id=x>")), *held)


def files_in(folder: Path) -> Callable[[str], bytes]:
    """The pages of a site made of files."""
    root = folder.resolve()

    def page(path: str) -> bytes:
        file = (root / path.lstrip("/")).resolve()
        if not (file.is_relative_to(root) and file.is_file()):
            return response("404 Not Found")
        return html(rest=file.read_text()) if file.suffix == ".html" else response("200 OK")

    return page
