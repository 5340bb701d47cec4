"""Answers on their way out: the many of one turn of the event loop leave together, after it.

A peer on the same machine that waits is woken by what it is sent, at the sender's cost. One that
still reads what came before is awake: so of many answers in a row the first alone wakes it, and of
answers that each have to be made in between, every one. A few leave at once, for while one is made
the peer can read the one before.
"""

import asyncio
from typing import Final

MANY: Final = 8
"""Answers of one turn from which on those of the next leave together."""

MOST: Final = 32
"""Answers that wait for each other at most."""

SOON: Final = 0.05
"""Seconds from the last turn that had answers in which another one is the next."""


class Outbox:
    """Of the connections of one event loop; at most one answer of each waits in it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []
        self._answers = 0
        """How many were put in in this turn."""
        self._were_many = False
        """Whether there were many in the turn before."""
        self._begun_at = 0.0
        """When the last turn that had any put in its first one."""
        self._collects = False
        """Whether those of this turn wait for each other."""

    def put(
        self, transport: asyncio.Transport, answer: bytes, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Send an answer, at the latest after all that this turn still does.

        Who closes its connection before that calls `send` first.
        """
        if not self._answers:
            now = loop.time()
            self._collects = self._were_many and now - self._begun_at < SOON
            self._begun_at = now
            loop.call_soon(self._turn_over)
        self._answers += 1
        if not self._collects:
            transport.write(answer)
            return
        self._waiting.append((transport, answer))
        if len(self._waiting) >= MOST:
            self.send()

    def send(self) -> None:
        """Send what waits now: a connection may be about to close."""
        waiting, self._waiting = self._waiting, []
        for transport, answer in waiting:
            if not transport.is_closing():
                transport.write(answer)

    def _turn_over(self) -> None:
        self._were_many, self._answers = self._answers >= MANY, 0
        self.send()
