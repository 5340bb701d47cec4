"""Four small tasks: one waits, one answers, one fails, one computes."""

import asyncio
from math import isqrt
from typing import Annotated, Final

from pydantic import Field, JsonValue

from app.jobs import JobContext, task

_BLOCK: Final = 1 << 16
"""How many odd numbers are sieved between two looks at the event loop: 1 to 2 ms of work."""


@task(example={"seconds": 2})
async def sleep(seconds: Annotated[float, Field(ge=0, le=3600)]) -> float:
    """Waits for some seconds, at most an hour, then returns how many were asked for.

    Handy to see a job run: look at it while it waits, or cancel it.
    """
    await asyncio.sleep(seconds)
    return seconds


@task(example={"value": {"greeting": "hello", "to": ["you", "me"]}})
async def echo(value: JsonValue) -> JsonValue:
    """Returns the value it is given: any JSON.

    Handy to check that what a program submits is what it gets back.
    """
    return value


@task(example={"message": "out of paper"})
async def fail(message: str) -> None:
    """Fails with the given message.

    Handy to see what a failed job looks like, and to try out how a program copes with one.
    """
    raise RuntimeError(message)


@task(timeout=60, retries=2, example={"limit": 10_000_000})
async def count_primes(
    limit: Annotated[int, Field(ge=0, le=100_000_000)], *, job: JobContext
) -> int:
    """Counts the prime numbers up to and including a limit: up to 10 there are 4.

    This is real work for a processor, done in small portions: other jobs go on in between, the
    progress is shown, and it can be cancelled at any time.
    """
    count = min(max(limit - 1, 0), 1)  # 2 is the only even one
    odd_primes = _odd_primes_up_to(isqrt(limit))
    for start in range(3, limit + 1, 2 * _BLOCK):
        stop = min(start + 2 * _BLOCK, limit + 1)
        count += _primes_among_odd(start, stop, odd_primes)
        job.progress(stop / (limit + 1), f"{count} primes below {stop}")
        await asyncio.sleep(0)  # lets everything else have its turn
    return count


def _odd_primes_up_to(limit: int) -> list[int]:
    odd = range(3, limit + 1, 2)
    return [n for n in odd if all(n % divisor for divisor in range(3, isqrt(n) + 1, 2))]


def _primes_among_odd(start: int, stop: int, odd_primes: list[int]) -> int:
    """How many of the odd numbers from `start`, which is odd, to below `stop` are prime."""
    sieve = bytearray(b"\x01") * len(range(start, stop, 2))
    for prime in odd_primes:
        square = prime * prime
        if square >= stop:
            break
        first = max(square - start, (prime - start) % (2 * prime)) // 2
        sieve[first::prime] = bytes(len(range(first, len(sieve), prime)))
    return sieve.count(1)
