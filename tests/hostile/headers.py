"""Header fields: their form, and what those mean that the service reads."""

from typing import Final

from tests.hostile.case import HOST, JSON, NOT_HTTP, VALID, Case, get, post, request

_FORMS: Final = {
    "without a colon": ("X", NOT_HTTP),
    "without a name": (": y", NOT_HTTP),
    "space before the colon": ("X : y", NOT_HTTP),
    "tab before the colon": ("X\t: y", NOT_HTTP),
    "space before the name": (" X: y", NOT_HTTP),
    "space in the name": ("X Y: z", NOT_HTTP),
    "folded": ("X: y\r\n z", NOT_HTTP),
    "folded by a tab": ("X: y\r\n\tz", NOT_HTTP),
    "NUL in the value": ("X: a\0b", NOT_HTTP),
    "NUL in the name": ("X\0: a", NOT_HTTP),
    "carriage return in the value": ("X: a\rb", NOT_HTTP),
    "line feed in the value": ("X: a\nY: b", NOT_HTTP),
    "escape in the value": ("X: \x1b[2K", NOT_HTTP),
    "delete in the value": ("X: \x7f", NOT_HTTP),
    "bytes of no ASCII in the value": ("X: \xff\xfe\x80", (200,)),
    "bytes of no ASCII in the name": ("\xc3\xa9: y", NOT_HTTP),
    "brackets in the name": ("X[]: y", NOT_HTTP),
    "empty": ("X:", (200,)),
    "only spaces": ("X:      ", (200,)),
    "a tab in the value": ("X: a\tb", (200,)),
    "an odd but lawful name": ("!#$%&'*+-.^_`|~: y", (200,)),
    "60 kB": ("X: " + "a" * 60_000, (200,)),
    "70 kB": ("X: " + "a" * 70_000, (431,)),
    "a name of 70 kB": ("X" * 70_000 + ": a", (431,)),
    "98 fields": ("\r\n".join(["X: y"] * 98), (200,)),
    "99 fields": ("\r\n".join(["X: y"] * 99), (431,)),
    "a second Host": ("Host: other.example", NOT_HTTP),
    "the same Host again": (f"Host: {HOST}", NOT_HTTP),
    "Content-Length without a body": ("Content-Length: 0", (200,)),
    "an unknown expectation": ("Expect: the-spanish-inquisition", (200,)),
    "a proxy's": ("X-Forwarded-For: 1.2.3.4, \x80", (200,)),
    "a forwarded host": (f"X-Forwarded-Host: {HOST}", (200,)),
    "a forwarded scheme": ("X-Forwarded-Proto: javascript", (200,)),
    "a method override": ("X-HTTP-Method-Override: DELETE", (200,)),
    "a range": ("Range: bytes=0-0,5-,-1", (200,)),
    "a bad date": ("If-Modified-Since: yesterday", (200,)),
    "a strange origin": ("Origin: null", (200,)),
    "a strange Accept": ("Accept: */*;q=NaN, \xff/\x80", (200,)),
    "a cookie": ("Cookie: =;;=\x80", (200,)),
    "a trace": ("traceparent: 00-0-0-zz", (200,)),
    "a bearer of nothing": ("Authorization: Bearer", (200,)),
    "credentials of no ASCII": ("Authorization: Basic \xff\xff", (200,)),
    "connection without a token": ("Connection: ,,,", (200,)),
    "a hop": ("Connection: Host", (200,)),
    "keep-alive": ("Keep-Alive: timeout=99999999999", (200,)),
    "an upgrade to nothing": ("Connection: upgrade\r\nUpgrade:", (200,)),
}

_HOSTS: Final = {
    "none": ("", NOT_HTTP),
    "empty": ("Host:", (200,)),
    "a path": ("Host: a/b?c#d", (200,)),
    "a user": ("Host: a:b@c:d", (200,)),
    "a bad port": ("Host: a:99999999", (200,)),
    "a bracket": ("Host: [", (200,)),
    "bytes": ("Host: \xff\x80", (200,)),
    "a script": ("Host: <script>alert(1)</script>", (200,)),
    "10 kB": ("Host: " + "a." * 5_000, (200,)),
}

_MEANINGS: Final = {
    "Prefer: wait=": (200,),
    "Prefer: wait=-1": (200,),
    "Prefer: wait=1e309": (200,),
    "Prefer: wait=0.0000001": (200,),
    "Prefer: wait=99999999999999999999999999": (200,),
    "Prefer: wait=\xb2": (200,),
    "Prefer: wait=NaN": (200,),
    'Prefer: wait="1': (200,),
    "Prefer: " + ",".join(["wait=1"] * 5_000): (200,),
    "Prefer: \xff": (200,),
    "If-None-Match: *": (304,),
    'If-None-Match: "': (200,),
    "If-None-Match: W/": (200,),
    "If-None-Match: " + ", ".join(['"a"'] * 10_000): (200,),
    'If-None-Match: "\xff"': (200,),
}

_KEYS: Final = {
    "empty": ("", (400,)),
    "empty in quotes": ('""', (400,)),
    "256 characters": ("a" * 256, (400,)),
    "60,000 characters": ("a" * 60_000, (400,)),
    "a space": ("a b", (400,)),
    "a tab": ("a\tb", (400,)),
    "no ASCII": ("\xe9", (400,)),
    "twice": ("a\r\nIdempotency-Key: b", (400,)),
}

_TYPES: Final = {
    "none": ("X: y", (415,)),
    "empty": ("Content-Type:", (415,)),
    "text": ("Content-Type: text/plain", (415,)),
    "a form": ("Content-Type: application/x-www-form-urlencoded", (415,)),
    "XML": ("Content-Type: application/xml", (415,)),
    "of many parts": ("Content-Type: multipart/form-data", (415,)),
    "NDJSON": ("Content-Type: application/x-ndjson", (415,)),
    "UTF-16": ("Content-Type: application/json; charset=utf-16", (415,)),
    "UTF-7": ("Content-Type: application/json; charset=utf-7", (415,)),
    "an unknown charset": ("Content-Type: application/json; charset=\xff", (415,)),
    "bytes": ("Content-Type: \xff\xff", (415,)),
    "a list": ("Content-Type: text/plain, application/json", (415,)),
    "half": ("Content-Type: application/", (415,)),
    "60 kB": ("Content-Type: " + "a" * 60_000, (415,)),
    "gzip": (f"{JSON}\r\nContent-Encoding: gzip", (415,)),
    "a list of encodings": (f"{JSON}\r\nContent-Encoding: identity, br", (415,)),
    "an unknown encoding": (f"{JSON}\r\nContent-Encoding: \xff", (415,)),
}

_LIVEZ: Final = "GET /livez HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n"

CASES: Final = [
    *(
        Case(f"field: {name}", get("/livez", field), statuses)
        for name, (field, statuses) in _FORMS.items()
    ),
    *(
        Case(
            f"host: {name}",
            _LIVEZ.format(field).replace("\r\n\r\nC", "\r\nC").encode("latin-1"),
            statuses,
        )
        for name, (field, statuses) in _HOSTS.items()
    ),
    *(
        Case(f"{field[:40]}", get("/jobs/{job}", field), statuses)
        for field, statuses in _MEANINGS.items()
    ),
    *(
        Case(f"key: {name}", post(VALID, JSON, f"Idempotency-Key: {key}"), statuses)
        for name, (key, statuses) in _KEYS.items()
    ),
    *(
        Case(f"type: {name}", post(VALID, field), statuses)
        for name, (field, statuses) in _TYPES.items()
    ),
    *(
        Case(f"event id: {name}", get("/events", f"Last-Event-ID: {value}"), (400,))
        for name, value in {
            "a word": "x",
            "negative": "-1",
            "a fraction": "1.5",
            "20 digits": "9" * 20,
            "other digits": "\xb2",
            "60,000 digits": "9" * 60_000,
        }.items()
    ),
    Case(
        "expect: too much",
        request("POST /jobs HTTP/1.1", JSON, "Expect: 100-continue", "Content-Length: 9999999"),
        (413,),
    ),
]
