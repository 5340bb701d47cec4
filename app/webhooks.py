"""Sends webhooks: takes what is due from the engine, tells it, and says what came of it.

Nothing of it holds up a job: an engine writes down what is to be told with the end of the job, and
is not waited for by anybody here. A receiver that hangs has a few of the attempts that are made at
once, and no more.
"""

import asyncio
import contextlib
import logging
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Final, Self

import httpx
from msgspec import Struct

from app.jobs.config import wall_clock
from app.jobs.deliveries import Deliveries, Due, Past, Tried
from app.jobs.errors import StoreUnavailable
from app.jobs.message import message_of
from app.jobs.models import Millis
from app.jobs.webhooks import delivery_id
from app.outbound import OutboundPolicy, Resolver, outbound_client, outbound_policy
from app.signing import Signer
from app.unanswered import reason_of

log = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Attempts that are made at once."""

OF_RECEIVER: Final = 4
"""The same with one receiver: it takes 25 that hang to hold up another one."""

EVERY: Final = 0.005
"""Seconds from the beginning of one attempt to that of the next: each takes a millisecond of the
event loop, and jobs need the rest, however many are due to receivers that refuse them at once."""

WITHIN: Final = 20.0
"""Seconds that an attempt may take in all."""

HOUR: Final = 3600.0

SCHEDULE: Final = (5.0, 300.0, HOUR / 2, *(HOUR * n for n in (2, 5, 10, 14, 20, 24)))
"""Seconds from each failed attempt to the next one; the one after the last is not made."""

LONGEST: Final = 24 * HOUR
"""Seconds that a receiver can put an attempt off by `Retry-After`."""

_JITTER: Final = 0.2
_SKIMMED: Final = 4_096
_SKIM_WITHIN: Final = 0.5
_MAX_ANSWER: Final = 16_384
_LOOK_EVERY: Final = 60.0
_AGAIN: Final = 1.0
_RESTS: Final = 4
"""How many times as long a rest after each look is as that took."""

_EXPECTED: Final = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)


class _Answer(Struct, frozen=True):
    """What came of an attempt: an HTTP status, or the reason why there is none."""

    status: int | None = None
    error: str | None = None
    retry_after: str = ""


class Sender:
    """Makes attempts from `async with` to its end, which cuts off those that are being made."""

    def __init__(
        self,
        deliveries: Deliveries,
        signer: Signer,
        policy: OutboundPolicy,
        *,
        schedule: Sequence[float] = SCHEDULE,
        within: float = WITHIN,
        now: Callable[[], Millis] = wall_clock,
    ) -> None:
        self._deliveries = deliveries
        self._signer = signer
        self._policy = policy
        self._schedule = schedule
        self._within = within
        self._now = now
        self._sending: Counter[str] = Counter()
        self._last = ""
        """The receiver that had its turn last: the next one is that after it, by its name."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="awaitd-webhooks")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End; what is not recorded is tried again by whoever sends next."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        outbound_policy.set(replace(self._policy, max_answer=_MAX_ANSWER))
        while True:
            try:
                await self._begin()
            except Exception:  # such as authorities that cannot be read
                log.exception("no webhooks are sent; in %g s that is tried again", _LOOK_EVERY)
            await asyncio.sleep(_LOOK_EVERY)

    async def _begin(self) -> None:
        with _resolving() as resolver:
            async with (
                outbound_client(
                    timeout=self._within, max_connections=AT_ONCE, resolver=resolver
                ) as client,
                asyncio.TaskGroup() as group,
            ):
                client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
                await self._send(client, group)

    async def _send(self, client: httpx.AsyncClient, group: asyncio.TaskGroup) -> None:
        news = self._deliveries.news
        while True:
            news.clear()
            pause = await self._look(client, group)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await news.wait()

    async def _look(self, client: httpx.AsyncClient, group: asyncio.TaskGroup) -> float:
        """Begin what is due, as far as there is room; gives the seconds until more may be."""
        try:
            while room := AT_ONCE - self._sending.total():
                found, pause = await self._take(room)
                if not (found or self._last):
                    return _LOOK_EVERY if pause is None else min(pause, _LOOK_EVERY)
                self._last = found[-1].webhook.receiver if found else ""
                for due in found:
                    self._sending[due.webhook.receiver] += 1
                    group.create_task(self._deliver(due, client))
                    await asyncio.sleep(EVERY)
        except StoreUnavailable:
            return _AGAIN
        except Exception:  # whatever it is, the next look tries again
            log.exception("webhooks that are due were not found")
            return _AGAIN
        return _LOOK_EVERY

    async def _take(self, room: int) -> tuple[Sequence[Due], float | None]:
        """Up to so many that are due. Then a rest: a look goes from receiver to receiver."""
        busy = [each for each, number in self._sending.items() if number >= OF_RECEIVER]
        loop = asyncio.get_running_loop()
        began = loop.time()
        taken = await self._deliveries.take(room, Past(busy, self._last))
        await asyncio.sleep(min(_RESTS * (loop.time() - began), _AGAIN))
        return taken

    async def _deliver(self, due: Due, client: httpx.AsyncClient) -> None:
        receiver = due.webhook.receiver
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            tried = self._judged(due, await self._answer(due, client))
            self._deliveries.attempts.add(tried, loop.time() - began)
            await self._deliveries.record(due, tried)
        except StoreUnavailable:
            log.warning("an attempt to tell %s of job %s was not recorded", receiver, due.job.id)
        except Exception:  # whatever it is, the others go on
            log.exception("telling %s of job %s was not recorded", receiver, due.job.id)
        finally:
            self._sending[receiver] -= 1
            if not self._sending[receiver]:
                del self._sending[receiver]
            self._deliveries.news.set()

    async def _answer(self, due: Due, client: httpx.AsyncClient) -> _Answer:
        """Make one attempt. The status counts, whatever becomes of the body that follows it."""
        answer = None
        try:
            body = message_of(due.job)
            event = delivery_id(due.job.id, due.job.status)
            headers = {
                "Content-Type": "application/json",
                **self._signer.headers(event, self._now() // 1000, body),
            }
            async with (
                asyncio.timeout(self._within),
                client.stream("POST", due.webhook.url, content=body, headers=headers) as response,
            ):
                retry_after = response.headers.get("retry-after", "")
                answer = _Answer(response.status_code, None, retry_after)
                async with asyncio.timeout(_SKIM_WITHIN):
                    await _skim(response)
        except Exception as error:  # whatever it is, it counts: else it would be held for ever
            if not isinstance(error, _EXPECTED):
                log.exception("telling %s of job %s failed", due.webhook.receiver, due.job.id)
            return answer or _Answer(error=reason_of(error))
        return answer

    def _judged(self, due: Due, answer: _Answer) -> Tried:
        """What an attempt came to, and when the next one is due, if there is to be one."""
        now, number = self._now(), due.attempts
        if answer.status is not None and 200 <= answer.status < 300:
            return Tried(delivered_at=now, status=answer.status)
        if answer.status == httpx.codes.GONE or number >= len(self._schedule):
            text = "job %s was not told to %s: given up after attempt %d (%s)"
            what = answer.error or f"HTTP {answer.status}"
            log.warning(text, due.job.id, due.webhook.receiver, number + 1, what)
            return Tried(status=answer.status, error=answer.error)
        delay = self._schedule[number] * (1 + _JITTER * random.random())
        delay = max(delay, min(_seconds_of(answer.retry_after, now), LONGEST))
        return Tried(next_at=now + round(delay * 1000), status=answer.status, error=answer.error)


@contextlib.contextmanager
def _resolving() -> Iterator[Resolver]:
    """Looks names up in threads of its own: one that hangs takes none of those that jobs need."""
    threads = ThreadPoolExecutor(AT_ONCE, "awaitd-webhooks")

    async def resolve(host: str, port: int) -> list[str]:
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(threads, ask)
        return [str(address[0]) for *_, address in found]

    try:
        yield resolve
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


async def _skim(response: httpx.Response) -> None:
    """Read a short body, so that its connection serves once more."""
    async for _ in response.aiter_raw():
        if response.num_bytes_downloaded > _SKIMMED:
            return


def _seconds_of(retry_after: str, now: Millis) -> float:
    """How long a receiver asks to be left alone: in seconds, or until a time; 0 for nonsense."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return parsedate_to_datetime(retry_after).timestamp() - now / 1000
    except (ValueError, TypeError, OverflowError):
        return 0.0
