"""Conditional requests (RFC 9110): the entity tag of a job, `If-None-Match` and `If-Match`."""

from typing import Final

from fastapi import Request

from app.jobs.models import Job

_NO_VERSION: Final = -1


def etag_of(job: Job, *, minimal: bool = False) -> str:
    """The entity tag: it changes with every committed change, and between the two forms."""
    return f'"{job.version}{"m" if minimal else ""}"'


def is_known(job: Job, request: Request, *, minimal: bool) -> bool:
    """Whether `If-None-Match` says that the caller has this very form of the job already."""
    return bool(_tags(request, "If-None-Match") & {etag_of(job, minimal=minimal), "*"})


def version_required(job: Job, request: Request) -> int | None:
    """The version that `If-Match` makes a change depend on; None if it does on none.

    The job's own if its tag is among those named, in either form; else one that no job has.
    """
    tags = _tags(request, "If-Match")
    if not tags or "*" in tags:
        return None
    return job.version if tags & {etag_of(job), etag_of(job, minimal=True)} else _NO_VERSION


def _tags(request: Request, header: str) -> set[str]:
    """The tags in all lines of a header; none of ours has a comma. Proxies may weaken them."""
    tags = ",".join(request.headers.getlist(header)).split(",")
    return {tag.strip().removeprefix("W/") for tag in tags} - {""}
