"""Query parameters."""

from typing import Final

from tests.hostile.case import VALID, Case, get, post

_LISTS: Final = {
    "limit=": (400,),
    "limit=0": (400,),
    "limit=-1": (400,),
    "limit=1.5": (400,),
    "limit=1e2": (400,),
    "limit=%D9%A1": (400,),
    "limit=%EF%BC%91": (400,),
    "limit=%C2%B2": (400,),
    "limit=1%00": (400,),
    "limit=+1": (400,),
    "limit=0x10": (400,),
    "limit=1_0": (400,),
    "limit=NaN": (400,),
    "limit=1&limit=2": (400,),
    "limit[]=1": (400,),
    "limit=" + "9" * 60_000: (200,),
    "limit=" + "0" * 60_000 + "1": (200,),
    "cursor=": (400,),
    "cursor=x": (400,),
    "cursor=%00": (400,),
    "cursor=" + "A" * 60_000: (400,),
    "cursor=AAAAAAAAAAAAAAAAAAAAAB": (400,),
    "cursor=AAAAAAAAAAAAAAAAAAAAAA": (200,),
    "cursor=%F0%9F%91%8B": (400,),
    "cursor=AAAAAAAAAAAAAAAAAAAAAA==": (400,),
    "status=": (400,),
    "status=done": (400,),
    "status=RUNNING": (400,),
    "status=running,failed": (400,),
    "status=running&status=nope": (400,),
    "task=": (200,),
    "task=%00": (200,),
    "task=%ED%A0%80": (200,),
    "task='%20OR%201=1--": (200,),
    "task=" + "a" * 60_000: (200,),
    "&".join(["task=a"] * 51): (400,),
    "&".join(["task=a"] * 5_000): (400,),
    "label=": (400,),
    "label=a": (400,),
    "label=:": (400,),
    "label=a:%00": (200,),
    "label=a:b:c": (200,),
    "label=a:" + "b" * 60_000: (200,),
    "created_after=": (400,),
    "created_after=now": (400,),
    "created_after=0": (400,),
    "created_after=2026-01-01": (400,),
    "created_after=2026-13-01T00:00:00Z": (400,),
    "created_after=2026-01-01T00:00:00": (400,),
    "created_after=0000-01-01T00:00:00Z": (400,),
    "created_after=99999-01-01T00:00:00Z": (400,),
    "created_before=2026-01-01T00:00:60Z": (400,),
    "created_before=2026-01-01T24:00:00Z": (400,),
    "created_before=9999-12-31T23:59:59-23:59": (200,),
    "created_before=0001-01-01T00:00:00%2B23:59": (200,),
    "nope=1": (400,),
    "%00=1": (400,),
    "=": (400,),
    "&&&": (200,),
    "a": (400,),
    "__proto__=1": (400,),
    "%ff%fe=%80": (400,),
    "limit=1;status=running": (400,),
    "&".join(f"a{i}=" for i in range(8_000)): (400,),
    "?": (400,),
}

_OTHERS: Final = {
    "/jobs/{job}?a=b": (400,),
    "/jobs/{job}/result?a=b": (400,),
    "/jobs/{job}/events?a=b": (400,),
    "/jobs/{job}/logs?a=b": (400,),
    "/events?status=nope": (400,),
    "/events?limit=1": (400,),
    "/tasks?a=b": (400,),
    "/tasks/echo?a=b": (400,),
    "/stats?a=b": (400,),
}

CASES: Final = [
    *(
        Case(f"query: {query[:60]} ({len(query)})", get("/jobs?" + query), statuses)
        for query, statuses in _LISTS.items()
    ),
    *(Case(f"query: {target}", get(target), statuses) for target, statuses in _OTHERS.items()),
    *(
        Case(f"query: {query}", post(VALID, target=f"/jobs?{query}"), (400,))
        for query in (
            "validate_only=",
            "validate_only=1",
            "validate_only=TRUE",
            "validate_only=true&validate_only=true",
            "validate=true",
        )
    ),
]
