"""Run what `steps` says over a transport: one driver that blocks, one that awaits."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from typing import TypeVar

from app.client.errors import AwaitdError
from app.client.records import JobEvent
from app.client.streams import PAUSE, AllJobs, OneJob
from app.client.transport import AsyncTransport, Service, Transport
from app.client.wire import Answer, Pause, Request, Steps

T = TypeVar("T")


class Driver:
    """Does one thing after the other, and returns when it is done."""

    def __init__(self, service: Service) -> None:
        self._transport = Transport(service)

    def run(self, steps: Steps[T]) -> T:
        """Do the requests of a call."""
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    try:
                        answer = self._do(step)
                    except AwaitdError as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value

    def follow(self, stream: AllJobs | OneJob) -> Generator[JobEvent, None, None]:
        """The events of a stream, taken up again wherever it is cut off."""
        while True:
            with self._transport.stream(stream.request()) as chunks:
                if chunks is None:
                    return
                yield from self.run(stream.catch_up())
                for chunk in chunks:
                    yield from stream.feed(chunk)
                    if stream.ended:
                        return
            time.sleep(PAUSE)

    def close(self) -> None:
        """Let go of all connections."""
        self._transport.close()

    def _do(self, step: Request | Pause) -> Answer | None:
        if isinstance(step, Request):
            return self._transport.send(step)
        time.sleep(step.seconds)
        return None


class AsyncDriver:
    """Does the same in an event loop, which goes on meanwhile."""

    def __init__(self, service: Service) -> None:
        self._transport = AsyncTransport(service)

    async def run(self, steps: Steps[T]) -> T:
        """Do the requests of a call."""
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    try:
                        answer = await self._do(step)
                    except AwaitdError as error:
                        step = steps.throw(error)
                    else:
                        step = steps.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value

    async def follow(self, stream: AllJobs | OneJob) -> AsyncGenerator[JobEvent, None]:
        """The events of a stream, taken up again wherever it is cut off."""
        while True:
            async with self._transport.stream(stream.request()) as chunks:
                if chunks is None:
                    return
                for event in await self.run(stream.catch_up()):
                    yield event
                async for chunk in chunks:
                    for event in stream.feed(chunk):
                        yield event
                    if stream.ended:
                        return
            await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._transport.close()

    async def _do(self, step: Request | Pause) -> Answer | None:
        if isinstance(step, Request):
            return await self._transport.send(step)
        await asyncio.sleep(step.seconds)
        return None
