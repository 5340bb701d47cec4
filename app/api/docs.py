"""Swagger UI at `/docs`, every byte of it served from here: no request goes to another host."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from app.api.requests import header

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).with_name("swagger_ui")
_ASSETS: Final = {
    "init.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_HEADERS: Final = {
    "Cache-Control": "no-cache",  # kept, but asked about each time: an upgrade shows at once
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    headers: dict[str, str]


@router.api_route("/docs", methods=["GET", "HEAD"])
async def get_page(request: Request) -> Response:
    """Answer with the page; its links are relative, so that it works under any prefix."""
    return _respond(request, _read("index.html", "text/html; charset=utf-8"))


@router.api_route("/docs/{asset}", methods=["GET", "HEAD"])
async def get_asset(request: Request, asset: str) -> Response:
    """Answer with a file that the page needs, or 304 to a browser that has it."""
    if asset not in _ASSETS:
        raise HTTPException(404)
    return _respond(request, _read(asset, _ASSETS[asset]))


def _respond(request: Request, file: _File) -> Response:
    if file.headers["ETag"] in header(request, b"if-none-match"):
        return Response(status_code=304, headers=file.headers)
    return Response(file.content, headers=file.headers)


@cache
def _read(name: str, media_type: str) -> _File:
    content = (_FOLDER / name).read_bytes()
    tag = f'"{sha256(content).hexdigest()}"'
    return _File(content, {**_HEADERS, "Content-Type": media_type, "ETag": tag})
