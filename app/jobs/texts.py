"""JSON texts and messages that are safe to keep and to show."""

import json
from typing import Any, Final

_MAX_MESSAGE: Final = 2_000

# Made once: `json.dumps` with options makes one for each call, which takes longer than its work.
_ENCODER: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def to_json(value: Any) -> bytes:
    """Compact JSON; raises `ValueError` for NaN and infinities, `TypeError` for what is no JSON."""
    return _ENCODER.encode(value).encode()


def message_of(error: BaseException) -> str:
    """The text of an exception, at most 2,000 characters; never raises, always valid UTF-8."""
    try:
        text = str(error)
    # The exception's own `__str__` may raise anything.
    except BaseException as broken:
        text = f"(its text cannot be had: {type(broken).__name__})"
    return clipped(text)


def clipped(text: str) -> str:
    """The text with lone surrogates replaced, cut to 2,000 characters."""
    text = text[: _MAX_MESSAGE + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"
