"""The finished jobs that were read or have ended last: most who ask for one ask soon, or again."""

from collections import OrderedDict
from typing import Final, TypeAlias
from uuid import UUID

from msgspec.structs import replace

from app.engines.embedded.ends import Finish
from app.jobs.models import Attempt, Job, Millis
from app.scheduler import Status
from app.scheduler.states import COMPLETED, FAILED

KEPT: Final = 200
_SMALL: Final = 4_096
"""How many there are at most, and how many bytes the params and result of one may have.

So few, for what cycles through more memory than a processor's cache makes each job dearer.
"""

_Ending: TypeAlias = tuple[Job, Finish, Status]
"""A job as it was in its only attempt, the change that ended it, and how it did."""


class Recent:
    """Jobs that never change again, as the journal has them; they expire `retention` after it."""

    def __init__(self, retention: Millis) -> None:
        self._retention = retention
        self._jobs: OrderedDict[int, Job | _Ending] = OrderedDict()
        """By the number of their id, which is quick to hash. Not a plain one, which looks for its
        first key behind all that were removed."""

    def get(self, job_id: UUID) -> Job | None:
        """The job, if it is one of these."""
        number = job_id.int
        found = self._jobs.get(number)
        if isinstance(found, tuple):
            found = self._jobs[number] = self._ended(*found)
        return found

    def read(self, job: Job) -> None:
        """Keep a job that was read from the journal, unless it can change or is large."""
        if job.done and len(job.params) + len(job.result or b"") <= _SMALL:
            self._keep(job.id, job)

    def ended(self, job: Job, finish: Finish, status: Status) -> None:
        """Keep a job that has ended with its first attempt, of its own accord; unless it is large.

        `job` is as it was when the attempt began.
        """
        size = len(job.params) + len(finish.ended.outcome.returned or b"")
        if job.attempt == 1 and size <= _SMALL and status in (COMPLETED, FAILED):
            if job.secrets is not None:  # which are forgotten when the job ends, here too
                job = replace(job, secrets=None)
            self._keep(job.id, (job, finish, status))

    def clear(self) -> None:
        """Forget all: jobs have been removed."""
        self._jobs.clear()

    def _keep(self, job_id: UUID, job: Job | _Ending) -> None:
        if len(self._jobs) >= KEPT:
            self._jobs.popitem(last=False)
        self._jobs[job_id.int] = job

    def _ended(self, job: Job, finish: Finish, status: Status) -> Job:
        at, outcome = finish.ended.at, finish.ended.outcome
        return replace(
            job,
            status=status,
            version=finish.version,
            attempts=(Attempt(1, job.attempts[0].started_at, at, status, outcome.error),),
            finished_at=at,
            expires_at=at + self._retention,
            result=outcome.returned if status is COMPLETED else None,
            error=outcome.error,
        )
