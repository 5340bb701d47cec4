"""The client that awaits, called as the one that blocks: so one test is for both."""

import inspect
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from anyio.from_thread import BlockingPortal

from app.client import AsyncJobHandle


class InLoop:
    """Each call runs in the portal's event loop, to its end."""

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        return self._called(value) if callable(value) else value

    def _called(self, function: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            value = function(*args, **options)
            if inspect.isawaitable(value) and not isinstance(value, AsyncJobHandle):
                value = self._portal.call(_awaited, value)
            if isinstance(value, AsyncJobHandle):
                return InLoop(value, self._portal)
            return self._iterated(value) if hasattr(value, "__anext__") else value

        return call

    def _iterated(self, values: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._portal.call(_next, values)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(_closed, values)


async def _awaited(value: Any) -> Any:
    return await value


async def _closed(values: AsyncGenerator[Any, None]) -> None:
    await values.aclose()


async def _next(values: AsyncGenerator[Any, None]) -> Any:
    return await anext(values)
