"""Tasks whose coroutines are watched over a connection that breaks."""

from pathlib import Path

from app.jobs import JobContext, task
from tests.support.tasks_for_tests import until_there


@task(retries=1, backoff=0)
async def write_when_told(paths: list[Path], *, job: JobContext) -> list[str]:
    """Writes each file's name to its log once the file exists."""
    for path in paths:
        await until_there(path)
        job.log(path.name)
    return [path.name for path in paths]
