"""A copy of the store, to restore it from."""

import os
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api import describe
from app.api.requests import ApiState, require_known_query, require_room, state_of
from app.api.security import caller_of
from app.keys import ADMIN

router = APIRouter(tags=["store"])

MEDIA_TYPE: Final = "application/vnd.sqlite3"

MAX_BACKUPS: Final = 2
"""How many may be made or fetched at once: each holds as much room as the journal."""

_CHUNK: Final = 1 << 18


@router.get(
    "/backup",
    operation_id="get_backup",
    response_class=StreamingResponse,
    summary="A backup of the store",
    responses=describe.download(
        MEDIA_TYPE,
        "A consistent copy, an SQLite database.",
        "invalid-parameter",
        "too-many-waiters",
        "store-unavailable",
        "no-backup",
    ),
)
async def get_backup(request: Request) -> Response:
    """All jobs as they are at this moment; everything acknowledged before is in it.

    Submissions and jobs go on meanwhile. `awaitd backup FILE` fetches it, checks that all of it
    came, and docs/backup.md says how to restore it.
    """
    caller_of(request, ADMIN)
    require_known_query(request)
    state = state_of(request)
    require_room(state.backups, MAX_BACKUPS, "backups are being made or fetched")
    state.backups += 1
    try:
        return _Download(await state.engine.backup(), state)
    except BaseException:
        state.backups -= 1
        raise


class _Download(StreamingResponse):
    """An open file, read in threads; closed when all is sent, or nobody is left to take it."""

    def __init__(self, file: BinaryIO, state: ApiState) -> None:
        self._file = file
        self._state = state
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="awaitd-{_stamp()}.sqlite3"',
            "Content-Length": str(os.fstat(file.fileno()).st_size),
        }
        super().__init__(iter(partial(file.read, _CHUNK), b""), 200, headers, MEDIA_TYPE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            with self._file:
                await super().__call__(scope, receive, send)
        finally:
            self._state.backups -= 1


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
