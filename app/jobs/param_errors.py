"""What is wrong with params, as JSON pointers and texts that repeat nothing of what was sent."""

from collections.abc import Iterable
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from app.jobs.errors import ParamError
from app.jobs.secrets import pointer_of
from app.jobs.texts import clipped

_MAX_ERRORS: Final = 50
_OWN_ERRORS: Final = frozenset(get_args(ErrorType))
"""The errors of which pydantic writes the message."""


def param_errors(
    error: ValidationError, prefix: str, sent: Any = None, secret: Iterable[str] = ()
) -> list[ParamError]:
    """What pydantic found, with JSON pointers that begin with `prefix`; inputs are not echoed.

    The pointers lead into `sent`, the JSON value that was checked. Of what has to do with the
    `secret` pointers nothing is told that could hold a part of it.
    """
    found = error.errors(include_url=False, include_input=False)
    errors = [
        _param_error(e, prefix + place_of(e["loc"], e["type"], sent), secret)
        for e in found[:_MAX_ERRORS]
    ]
    if more := len(found) - len(errors):
        errors.append(ParamError(prefix, f"and {more} more errors", "too_many_errors"))
    return errors


def place_of(location: tuple[str | int, ...], kind: str = "", sent: Any = None) -> str:
    """The parts that lead somewhere in what was sent, and the last one of a missing member.

    pydantic also names the member of a union that it tried, and `[key]` for the key itself.
    """
    parts, value = [], sent
    for index, part in enumerate(location, start=1):
        try:
            value = value[part]
        except (LookupError, TypeError):
            is_missing = index == len(location) and "missing" in kind
            if sent is not None and not is_missing:
                continue
        parts.append(str(part))
    return pointer_of(parts)


def _param_error(error: ErrorDetails, pointer: str, secret: Iterable[str]) -> ParamError:
    detail = _detail(error)
    for place in secret:
        is_within = f"{pointer}/".startswith(f"{place}/")
        if is_within or place.startswith(f"{pointer}/"):
            detail = detail if _is_discreet(error) else "is not valid"
            pointer = place if is_within else pointer  # the names below it are secret too
    return ParamError(clipped(pointer), detail, error["type"])


def _is_discreet(error: ErrorDetails) -> bool:
    """Whether its message tells nothing of the value: pydantic wrote it, and of the type alone."""
    return error["type"] in _OWN_ERRORS and not any("error" in key for key in error.get("ctx", ()))


def _detail(error: ErrorDetails) -> str:
    if error["type"] == "union_tag_invalid":  # the one message that repeats what was sent
        context = error["ctx"]
        return f"{context['discriminator']} should be one of {context['expected_tags']}"
    return clipped(error["msg"])
