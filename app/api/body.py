"""Reading a request's body: bounded, declared as JSON, and strict about what JSON is."""

import json
import math
from typing import Any, Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.api.problems import Problem
from app.api.requests import fields_of, header

MAX_DEPTH: Final = 64
_MIN_INTEGER: Final = -(1 << 63)
_MAX_INTEGER: Final = (1 << 64) - 1


async def read_json_object(request: Request, limit: int) -> tuple[bytes, dict[str, Any]]:
    """The body, as it was sent and parsed; raises `Problem`."""
    fields = fields_of(request)
    if fields.get(b"content-type") != b"application/json":  # which most say
        _require_json(header(request, b"content-type"))
    if b"content-encoding" in fields:
        _require_identity(header(request, b"content-encoding"))
    body = await _read(request, limit)
    return body, parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    """One JSON object in UTF-8, without duplicate keys, NaN or infinities; raises `Problem`."""
    try:
        value = _decoded(body.decode())
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()  # finds lone surrogates
    except UnicodeError as error:
        raise _invalid("it is not UTF-8, or has half of a surrogate pair") from error
    except RecursionError as error:
        raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise _invalid(str(error)) from error
    if not isinstance(value, dict):
        raise _invalid("it is no object")
    # A cheap bound first: most bodies do not have as many brackets as levels are allowed.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _invalid(f"it is nested deeper than {MAX_DEPTH} levels")
    return value


def _decoded(text: str) -> Any:
    if text.startswith("{"):  # as most do, with no space around it
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
    return _DECODER.decode(text)


def _require_json(content_type: str) -> None:
    essence, _, parameters = content_type.partition(";")
    essence = essence.strip().lower()
    is_json = essence == "application/json" or (
        essence.startswith("application/") and essence.endswith("+json")
    )
    charset = parameters.lower().replace(" ", "").replace('"', "").partition("charset=")[2]
    if not is_json or charset.partition(";")[0] not in ("", "utf-8", "utf8"):
        declared = f"Content-Type {content_type[:100]!r}" if content_type else "no Content-Type"
        raise Problem(
            "unsupported-media-type",
            f"the body has to be application/json in UTF-8, but has {declared}; "
            "with curl, use --json",
        )


def _require_identity(coding: str) -> None:
    if coding.lower() != "identity":
        detail = f"the body has to be sent as it is, without Content-Encoding {coding[:100]!r}"
        raise Problem("unsupported-media-type", detail)


async def _read(request: Request, limit: int) -> bytes:
    declared = fields_of(request).get(b"content-length", b"")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    left, more = limit, True
    while more and left >= 0:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(body := message.get("body", b""))
        left -= len(body)
        more = message.get("more_body", False)
    if left < 0:
        raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit: int) -> Problem:
    return Problem("payload-too-large", f"the body may have {limit} bytes", limit=limit)


def _invalid(reason: str) -> Problem:
    return Problem("invalid-json", f"the body is not valid JSON: {reason}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has the same key twice")
    return value


def _integer(text: str) -> int:
    if len(text) > 20 or not _MIN_INTEGER <= (value := int(text)) <= _MAX_INTEGER:
        raise ValueError("an integer does not fit into 64 bits")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _depth(value: Any) -> int:
    """How deep it is nested, found level by level: recursion would have a limit of its own."""
    depth, level = 0, [value]
    while level:
        depth += 1
        children = (v.values() if isinstance(v, dict) else v for v in level)
        level = [c for v in children for c in v if isinstance(c, dict | list)]
    return depth


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_number,
    parse_constant=_constant,
)
