"""Swagger UI at `/docs`, every byte of it served from here: no request goes to another host."""

from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from app.api.files import File, read_file, respond

router = APIRouter(include_in_schema=False)

_FOLDER: Final = Path(__file__).with_name("swagger_ui")
_ASSETS: Final = (
    "init.js",
    "page.css",
    "swagger-ui-bundle.js",
    "swagger-ui.css",
    "favicon-32x32.png",
)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def get_page(request: Request) -> Response:
    """Answer with the page; its links are relative, so that it works under any prefix."""
    return respond(request, _read("index.html"))


@router.api_route("/docs/{asset}", methods=["GET", "HEAD"])
async def get_asset(asset: str, request: Request) -> Response:
    """Answer with a file that the page needs, or 304 to a browser that has it."""
    if asset not in _ASSETS:
        raise HTTPException(404)
    return respond(request, _read(asset))


@cache
def _read(name: str) -> File:
    return read_file(_FOLDER / name, _POLICY)
