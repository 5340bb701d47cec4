"""What schemathesis cannot know of the service."""

import itertools
import re
from typing import Any, Final

import schemathesis
from schemathesis import Case, HookContext

from app.api.patterns import IDEMPOTENCY_KEY, MAX_WEBHOOK_URL, WEBHOOK_URL

HEADER: Final = "Idempotency-Key"

_seen: set[str] = set()
_numbers = itertools.count()


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Use no key for two submissions: which body a key belongs to stands in no schema."""
    sent = case.headers.get(HEADER, "").strip()
    key = sent.strip('"')  # in quotes it is the same key
    if key in _seen and re.fullmatch(IDEMPOTENCY_KEY, sent):
        case.headers[HEADER] = f"again-{next(_numbers)}"
    _seen.add(key)


@schemathesis.hook
def map_body(context: HookContext, body: Any) -> Any:
    """Let no webhook go anywhere but to a port of this machine where nothing listens."""
    match body:
        case {"webhook": {"url": str(url)} as webhook} if _is_sound(url):
            return body | {"webhook": webhook | {"url": "http://127.0.0.1:9/"}}
    return body


def _is_sound(url: str) -> bool:
    return len(url) <= MAX_WEBHOOK_URL and re.search(WEBHOOK_URL, url) is not None


@schemathesis.hook
def filter_body(context: HookContext, body: Any) -> bool:
    """Only integers of at most 64 bits: no schema bounds those inside a param that is any JSON."""
    match body:
        case bool() | float() | str() | None:
            return True
        case int():
            return -(1 << 63) <= body < 1 << 64
        case dict():
            return all(filter_body(context, value) for value in body.values())
        case list():
            return all(filter_body(context, value) for value in body)
        case _:
            return True
