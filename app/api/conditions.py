"""Conditional requests (RFC 9110): the entity tag of a job, `If-None-Match` and `If-Match`."""

import re
from typing import Final

from fastapi import Request

from app.api.requests import header_lines
from app.jobs.models import Job

_NO_VERSION: Final = -1


def etag_of(job: Job, *, minimal: bool = False) -> str:
    """The entity tag: it changes with every committed change, and between the two forms.

    The full one shows deliveries, and so changes with every attempt to make one, and with when the
    next one is due, too.
    """
    if minimal:
        return f'"{job.version}m"'
    if not job.deliveries:
        return f'"{job.version}"'
    told = "".join(f".{each.attempts}.{each.next_at or 0}" for each in job.deliveries)
    return f'"{job.version}{told}"'


def tags_known(request: Request) -> set[str] | None:
    """The tags that `If-None-Match` says the caller has; None when it is not there."""
    return _tags(request, b"if-none-match")


def is_known(job: Job, tags: set[str], *, minimal: bool) -> bool:
    """Whether this very form of the job is among those that the caller has."""
    return "*" in tags or etag_of(job, minimal=minimal) in tags


def version_required(job: Job, request: Request) -> int | None:
    """The version that `If-Match` makes a change depend on; None if it does on none.

    The job's own if its tag is among those named, in either form and after any delivery; else one
    that no job has.
    """
    tags = _tags(request, b"if-match")
    if not tags or "*" in tags:
        return None
    same = re.compile(rf'"{job.version}(m|(\.\d+)+)?"', re.ASCII)
    return job.version if any(map(same.fullmatch, tags)) else _NO_VERSION


def _tags(request: Request, header: bytes) -> set[str] | None:
    """The tags in all lines of a header; none of ours has a comma. Proxies may weaken them."""
    lines = header_lines(request, header)
    if not lines:
        return None
    return {tag.strip().removeprefix("W/") for tag in ",".join(lines).split(",")} - {""}
