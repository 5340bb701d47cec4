"""JSON texts and messages that are safe to keep and to show."""

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

_MAX_MESSAGE: Final = 2_000
_MAX_TRACEBACK: Final = 20_000
_MAX_CHAIN: Final = 100

# Made once: `json.dumps` with options makes one for each call, which takes longer than its work.
_ENCODER: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def to_json(value: Any) -> bytes:
    """Compact JSON; raises `ValueError` for NaN and infinities, `TypeError` for what is no JSON."""
    return b"null" if value is None else _ENCODER.encode(value).encode()


texts_to_json: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
"""The same of texts, None, and what holds these alone, in a tenth of the time.

Other values have other rules there: NaN and what is no JSON would pass.
"""


def message_of(value: object) -> str:
    """The text of an exception or another value, cut at 2,000 characters; never raises.

    Always valid UTF-8.
    """
    try:
        return clipped(str(value))
    # Its own `__str__` may raise anything.
    except BaseException as broken:
        return f"(its text cannot be had: {class_name(broken)})"


def class_name(error: BaseException) -> str:
    """The name of an exception's class, whatever its metaclass says; never raises."""
    return clipped(type.__dict__["__name__"].__get__(type(error)))


def traceback_of(error: BaseException, *, messages: bool = True) -> str:
    """The traceback for a log, without its middle beyond 20,000 characters; never raises.

    A half of a surrogate pair, which cannot be written everywhere, is replaced.
    Without `messages` what exceptions say is left out: their types and frames remain.
    """
    try:
        if messages:
            text = "".join(traceback.format_exception(error)).rstrip()
        else:
            text = "\n".join(_reduced(error, set()))
    # Its attributes may be properties, which may raise anything.
    except BaseException as broken:
        return f"(its traceback cannot be had: {class_name(broken)})"
    text = text.encode(errors="replace").decode()
    half = _MAX_TRACEBACK // 2
    return text if len(text) <= _MAX_TRACEBACK else f"{text[:half]}\n…\n{text[-half:]}"


def _reduced(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    """An exception's frames and type, after what it came from; a group's parts follow it."""
    if error is None or id(error) in seen or len(seen) == _MAX_CHAIN:
        return
    seen.add(id(error))
    before = list(_reduced(error.__cause__ or _context_of(error), seen))
    yield from before
    if before:
        yield "and then"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
    yield class_name(error)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from (f"    {line}" for line in _reduced(part, seen))


def _context_of(error: BaseException) -> BaseException | None:
    return None if error.__suppress_context__ else error.__context__


def clipped(text: str) -> str:
    """The text with lone surrogates replaced, cut to 2,000 characters."""
    text = text[: _MAX_MESSAGE + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"
