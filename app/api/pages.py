"""Pages of jobs: the size and the cursor that a caller asks for, and what it gets."""

import base64
import binascii
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from msgspec.structs import replace

from app.api.filters import REPEATABLE, filters_of
from app.api.problems import Problem
from app.api.render import job_json
from app.api.requests import require_known_query, root_of
from app.jobs.models import Job, JobQuery, Page

MAX_LIMIT: Final = 500
DEFAULT_LIMIT: Final = 50


def query_of(request: Request) -> JobQuery:
    """The jobs that a request asks for; raises `Problem`."""
    known = ("created_after", "created_before", "limit", "cursor")
    require_known_query(request, *known, repeatable=REPEATABLE)
    limit = _limit_of(request.query_params.get("limit", str(DEFAULT_LIMIT)))
    cursor = request.query_params.get("cursor")
    before = None if cursor is None else _job_id_of(cursor)
    return replace(filters_of(request), limit=limit, before=before)


def page_json(page: Page[Job], root: str = "") -> bytes:
    """A page of summaries."""
    items = b",".join(job_json(job, minimal=True, root=root) for job in page.items)
    following = b"null" if page.next is None else b'"%s"' % _cursor_of(page.next).encode()
    return b'{"items":[%s],"next":%s}' % (items, following)


def link_to_next(page: Page[Job], limit: int, request: Request) -> dict[str, str]:
    """The header `Link`, where a page follows: the same filters with the next cursor."""
    if page.next is None:
        return {}
    asked = request.query_params.multi_items()
    filters = [(name, value) for name, value in asked if name not in ("limit", "cursor")]
    query = urlencode([*filters, ("limit", limit), ("cursor", _cursor_of(page.next))])
    return {"Link": f'<{root_of(request)}/jobs?{query}>; rel="next"'}


def _limit_of(text: str) -> int:
    """The size of a page: clamped above; raises `Problem` for what is no positive number."""
    digits = text.lstrip("0")
    if not (digits.isascii() and digits.isdigit()):
        raise Problem("invalid-parameter", f"limit is a whole number from 1 to {MAX_LIMIT}")
    return MAX_LIMIT if len(digits) > 3 else min(int(digits), MAX_LIMIT)


def _cursor_of(job_id: UUID) -> str:
    """The cursor of the page after this job."""
    return base64.urlsafe_b64encode(job_id.bytes).decode().rstrip("=")


def _job_id_of(cursor: str) -> UUID:
    """The inverse of `_cursor_of`; raises `Problem`."""
    try:
        job_id = UUID(bytes=base64.b64decode(cursor + "==", b"-_", validate=True))
    except (binascii.Error, ValueError):
        job_id = None
    if job_id is None or _cursor_of(job_id) != cursor:
        raise Problem("invalid-cursor", "the cursor is none of this server's")
    return job_id
