"""Methods: known and unknown, where they lead and where they do not."""

from typing import Final

from tests.hostile.case import NOT_HTTP, Case, request

_PATHS: Final = {
    "/jobs": {"GET", "HEAD", "POST"},
    "/jobs/{job}": {"GET", "HEAD", "DELETE"},
    "/jobs/{job}/result": {"GET", "HEAD"},
    "/tasks": {"GET", "HEAD"},
    "/livez": {"GET", "HEAD"},
    "/docs": {"GET", "HEAD"},
    "/openapi.json": {"GET", "HEAD"},
}

_KNOWN: Final = ("PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "LINK")

_STRANGE: Final = {
    "get": NOT_HTTP,
    "Get": NOT_HTTP,
    "GET\t": NOT_HTTP,
    " GET": NOT_HTTP,
    "BREW": NOT_HTTP,
    "GETS": NOT_HTTP,
    "G": NOT_HTTP,
    "GET\0": NOT_HTTP,
    "\xc7ET": NOT_HTTP,
    "GET,POST": NOT_HTTP,
    "__CLASS__": NOT_HTTP,
    "M-SEARCH": (405,),
    "SOURCE": (405,),
    "QUERY": (405,),
}

CASES: Final = [
    *(
        Case(f"method: {method} {path}", request(f"{method} {path} HTTP/1.1"), (405,))
        for path, there in _PATHS.items()
        for method in _KNOWN
        if method not in there
    ),
    *(
        Case(f"method: {method!r}", request(f"{method} /livez HTTP/1.1"), statuses)
        for method, statuses in _STRANGE.items()
    ),
    Case("method: HEAD of nothing", request("HEAD /nope HTTP/1.1"), (404,)),
    Case("method: HEAD that is no HTTP", request("HEAD /livez HTTP/2.0"), NOT_HTTP),
    Case("method: OPTIONS *", request("OPTIONS * HTTP/1.1"), (404,)),
    Case("method: POST without a body", request("POST /jobs HTTP/1.1"), (415,)),
]
