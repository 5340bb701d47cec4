"""What SAQ's worker runs: `saq benchmarks.peers.saq_jobs.settings`."""

import os
from typing import Any, Final

from saq import Queue

queue: Final = Queue.from_url(os.environ["PEER_REDIS"])


async def noop(ctx: dict[str, Any]) -> None:
    """Does nothing."""


settings: Final = {"queue": queue, "functions": [noop], "concurrency": 10}
