"""The files of pages for browsers: read once, and sent again only to who has another version."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from app.api.requests import header

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""By the ends of names; no other files are served."""


@dataclass(frozen=True, slots=True)
class File:
    """A file's bytes, and the header fields of the answer that has them."""

    content: bytes
    headers: dict[str, str]


def read_file(path: Path, policy: str) -> File:
    """The file, to be served with this Content-Security-Policy."""
    content = path.read_bytes()
    headers = {
        "Cache-Control": "no-cache",  # kept, but asked about each time: an upgrade shows at once
        "Content-Security-Policy": policy,
        "Content-Type": MEDIA_TYPES[path.suffix],
        "ETag": f'"{sha256(content).hexdigest()}"',
    }
    return File(content, headers)


def respond(request: Request, file: File) -> Response:
    """The file, or 304 to a browser that has it."""
    if file.headers["ETag"] in header(request, b"if-none-match"):
        return Response(status_code=304, headers=file.headers)
    return Response(file.content, headers=file.headers)
