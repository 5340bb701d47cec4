"""What Celery's worker runs: `celery --app benchmarks.peers.celery_jobs worker`."""

import os
from typing import Final

from celery import Celery

app: Final = Celery(
    "peers", broker=f"{os.environ['PEER_REDIS']}/0", backend=f"{os.environ['PEER_REDIS']}/1"
)


@app.task
def noop() -> None:
    """Does nothing."""
