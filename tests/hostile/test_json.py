import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.body import MAX_DEPTH
from tests.support.server import Server

HEADERS = {"Content-Type": "application/json", "Prefer": "wait=5"}

NUMBERS = st.sampled_from(
    [
        "0", "-0", "-0.0", "1e5", "1E+5", "1e-400", "5e-324", "1.7976931348623157e308", "1e400",
        "-1e400", "1e999999999", "18446744073709551615", "18446744073709551616", "0.1", "1_0",
        "-9223372036854775808", "-9223372036854775809", "9007199254740993", "01", "1.", ".5", "+1",
        "-", "0x1", "NaN", "Infinity", "-Infinity", "1e", "1e+", "\u0661",
    ]
) | st.integers(min_value=1, max_value=400).map(lambda digits: "9" * digits)  # fmt: skip

TEXTS = st.sampled_from(
    [
        '"a"', '""', '"\\u0000"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\udc00\\ud800"', '"\\"',
        '"\\/\\b\\f"', '"\\x41"', '"\\u12"', '"\\', '"', "'a'", '"\n"', '"\t"', '"\x7f"', '"é"',
        '"\u2028"', '"\ufeff"', '"\U0010ffff"', '"e\u0301"', '"\u202e"', '"' + "a" * 70_000 + '"',
    ]
)  # fmt: skip

LITERALS = st.sampled_from(["true", "false", "null", "True", "nul", "undefined", "nullx", ""])

SPACE = st.sampled_from(["", "", "", " ", "\r\n\t ", "\n" * 1_000, "\x0b", "\xa0", "\ufeff", "\0"])


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Arrays, well made or nearly so."""
    return st.builds(
        lambda items, space, end: "[" + ("," + space).join(items) + end,
        st.lists(values, max_size=4),
        SPACE,
        st.sampled_from(["]", "]", "]", "]", ",]", "", "]]", "}"]),
    )


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects, some with the same key twice."""
    keys = st.sampled_from(['"a"', '"a"', '"b"', '"\\u0061"', '""', '"__proto__"', "a", "1"])
    members = st.builds(lambda key, space, value: f"{key}{space}:{value}", keys, SPACE, values)
    return st.builds(
        lambda items, end: "{" + ",".join(items) + end,
        st.lists(members, max_size=4),
        st.sampled_from(["}", "}", "}", "}", ",}", "", "}}", "]"]),
    )


def nested(depth: int, pair: str) -> str:
    """So many levels of arrays or objects."""
    start, _, end = pair.partition(" ")
    return start * depth + "1" + end * depth


VALUES = st.recursive(
    NUMBERS | TEXTS | LITERALS, lambda values: arrays(values) | objects(values), max_leaves=8
) | st.builds(nested, st.integers(1, 80), st.sampled_from(["[ ]", '{"a": }', '[{"a": }]']))

ENCODINGS = st.sampled_from(["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])


def is_valid(body: bytes) -> bool:
    """Whether Python's parser takes it, and it is within what the service says of its bodies."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=unique, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        return depth_of(value) <= MAX_DEPTH
    except (ValueError, RecursionError):
        return False


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, unless a key stands there twice."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def refuse(constant: str) -> None:
    """NaN and the infinities are no JSON."""
    raise ValueError(constant)


def depth_of(value: Any) -> int:
    """How deep a value is nested; raises `ValueError` for an integer of more than 64 bits."""
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case int() if not -(1 << 63) <= value < 1 << 64:
            raise ValueError("too large")
        case _:
            return 0


@settings(
    max_examples=150,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=VALUES, space=SPACE, encoding=ENCODINGS)
def test_server_and_python_agree_on_json(
    server: Server, value: str, space: str, encoding: str
) -> None:
    """What is valid goes through params and result unharmed; all else is `invalid-json`."""
    text = f'{space}{{"task":"echo",{space}"params":{{"value":{value}}}}}{space}'
    body = text.encode(encoding, "surrogatepass")
    answer = server.client.post("/jobs", content=body, headers=HEADERS)
    if is_valid(body):
        assert (answer.status_code, answer.json().get("status")) == (200, "completed"), answer.text
        sent = json.loads(body)["params"]
        assert answer.json()["params"] == sent
        assert repr(answer.json()["result"]) == repr(sent["value"])
    else:
        assert answer.status_code == 400, answer.text
        assert answer.json()["type"] == "/problems/invalid-json"
