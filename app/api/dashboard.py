"""The dashboard at `/`, every byte of it served from here: no request goes to another host."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from app.api.files import MEDIA_TYPES, File, read_file, respond

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).parents[1] / "web"
_PAGE: Final = "index.html"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@router.api_route("/", methods=["GET", "HEAD"])
async def get_page(request: Request) -> Response:
    """Answer with the page; its links are relative, so that it works under any prefix."""
    return respond(request, _files()[_PAGE])


@router.api_route("/dashboard/{path:path}", methods=["GET", "HEAD"])
async def get_asset(request: Request, path: str) -> Response:
    """Answer with a file that the page needs, or 304 to a browser that has it."""
    file = _files().get(path)
    if file is None or path == _PAGE:
        raise HTTPException(404)
    return respond(request, file)


@cache
def _files() -> Mapping[str, File]:
    """All files by their paths in the folder: a request's path is looked up and never opened."""
    paths = sorted(path for path in _FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    return {path.relative_to(_FOLDER).as_posix(): read_file(path, _POLICY) for path in paths}
