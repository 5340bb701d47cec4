"""What Celery's worker runs: `celery --app benchmarks.peers.celery_jobs worker`."""

import os
from typing import Final

from celery import Celery  # type: ignore[import-untyped]  # it has no types

app: Final = Celery(
    "peers", broker=f"{os.environ['PEER_REDIS']}/0", backend=f"{os.environ['PEER_REDIS']}/1"
)


@app.task  # type: ignore[untyped-decorator]
def noop() -> None:
    """Does nothing."""
