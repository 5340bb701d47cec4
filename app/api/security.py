"""Who calls, and what they may do."""

import logging
from collections.abc import Awaitable, Iterable
from typing import Final

from fastapi import Request
from msgspec.structs import replace

from app.api.preferences import Preferences
from app.api.problems import Problem
from app.api.requests import header_lines, job_id_in_path, state_of
from app.jobs.models import Job
from app.keys import READ, SUBMIT, ApiKey, Keys

log = logging.getLogger("awaitd.audit")

_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="awaitd"'}
_WANTED: Final = "this server wants an API key, as Authorization: Bearer <key>"


class Caller:
    """Whoever sent a request: the key that came with it, or None while no keys are in use."""

    __slots__ = ("key", "owner", "sees")

    def __init__(self, key: ApiKey | None) -> None:
        self.key = key
        self.owner = None if key is None else key.owner
        """Whose the jobs are that the caller submits; None without keys."""
        self.sees = None if key is None or key.is_admin else key.owner
        """Whose jobs the caller may see and touch; None for everybody's."""

    def allows(self, scope: str) -> bool:
        """Whether the caller may do this."""
        return self.key is None or self.key.allows(scope)

    def shown(self, wanted: Preferences) -> Preferences:
        """What the caller would like, without what a job holds if it may not read."""
        return wanted if self.allows(READ) else replace(wanted, minimal=True)

    def require_submit(self) -> None:
        """Raise `Problem` unless the key is for submitting something."""
        if self.key is not None and not self.key.may_submit:
            raise _forbidden(self.key, SUBMIT)

    def require(self, scope: str) -> None:
        """Raise `Problem` unless the key is for this."""
        if self.key is not None and not self.allows(scope):
            raise _forbidden(self.key, scope)

    def require_task(self, task: str) -> None:
        """Raise `Problem` unless this task may be submitted with the key."""
        if self.key is not None and not self.key.allows_task(task):
            raise _forbidden(self.key, f"{SUBMIT}:{task[:64]}")

    def audit(self, what: str, job: Job, request: Request) -> None:
        """A log line of what the caller has done with a job, while keys are in use."""
        if self.key is not None:
            address = request.client.host if request.client else "somewhere"
            text = "%s of job %s (%s) by %s with key %s from %s"
            log.info(text, what, job.id, job.task, self.key.owner, self.key.id, address)


_ANYBODY: Final = Caller(None)


def caller_of(request: Request, scope: str | None = None) -> Caller:
    """Who calls; raises `Problem` unless they have a key, and one for this scope."""
    keys = state_of(request).keys
    if not keys.in_use:
        return _ANYBODY
    caller = Caller(_key_of(request, keys))
    if scope is not None:
        caller.require(scope)
    return caller


def job_in_path(request: Request, job_id: str, scope: str = READ) -> Awaitable[Job]:
    """The job, if the caller may do this with it; another owner's is as one that is not there."""
    return job_seen_by(caller_of(request, scope), job_id, request)


async def job_seen_by(caller: Caller, job_id: str, request: Request) -> Job:
    """The job; another owner's is as one that is not there."""
    job = await state_of(request).engine.get(job_id_in_path(job_id), owner=caller.sees)
    if job.owner is not None:
        require_seen(caller, (job,), request)
    return job


def require_seen(caller: Caller, jobs: Iterable[Job], request: Request) -> None:
    """Raise `Problem` when a caller without a key would see a job that has an owner.

    Another node may have taken it a moment ago, with keys that this one does not have.
    """
    if caller.key is None and any(job.owner is not None for job in jobs):
        state_of(request).keys.require()
        raise _unauthorized(_WANTED)


def _key_of(request: Request, keys: Keys) -> ApiKey:
    lines = header_lines(request, b"authorization")
    if not lines:
        raise _unauthorized(_WANTED)
    scheme, _, text = lines[0].partition(" ")
    key = keys.find(text.strip()) if len(lines) == 1 and scheme.lower() == "bearer" else None
    if key is None:
        raise _unauthorized("this is no live API key: it may have expired or been removed")
    return key


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers=_CHALLENGE)


def _forbidden(key: ApiKey, scope: str) -> Problem:
    detail = f"this key is for {', '.join(key.scopes)}, and not for {scope}"
    return Problem("forbidden", detail, scope=scope)
