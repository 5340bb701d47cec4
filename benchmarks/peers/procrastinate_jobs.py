"""What Procrastinate's worker runs: `--app benchmarks.peers.procrastinate_jobs.app`."""

import os
from typing import Final

from procrastinate import App, PsycopgConnector

app: Final = App(connector=PsycopgConnector(conninfo=os.environ["PEER_POSTGRES"]))


@app.task
async def noop() -> None:
    """Does nothing."""
