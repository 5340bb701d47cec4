import httpx
import pytest

from app.api.preferences import Preferences, preferences_of

NOTHING = Preferences()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], NOTHING),
        (["wait=5"], Preferences(wait=5)),
        (["WAIT = 5"], Preferences(wait=5)),
        (['wait="5"'], Preferences(wait=5)),
        (["wait=005"], Preferences(wait=5)),
        (["wait=5;foo=bar"], Preferences(wait=5)),
        (["respond-async, wait=5"], Preferences(wait=5)),
        (["respond-async", "wait=5"], Preferences(wait=5)),
        (["wait=5", "wait=1"], Preferences(wait=5)),
        (["wait=5,return=minimal"], Preferences(wait=5, minimal=True)),
        (["return=minimal", "wait=5"], Preferences(wait=5, minimal=True)),
        (["Return=Minimal"], Preferences(minimal=True)),
        (["return=representation"], NOTHING),
        (["return=representation", "return=minimal"], NOTHING),
        (["minimal"], NOTHING),
        (["wait=50"], Preferences(wait=50)),
        (["wait=51"], Preferences(wait=50)),
        (["wait=" + "9" * 1_000], Preferences(wait=50)),
    ],
)
def test_preferences_are_read_from_all_lines(lines: list[str], expected: Preferences) -> None:
    """Case, quotes, parameters, lists and several lines are understood; the first one counts."""
    assert preferences_of(lines, max_wait=50) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        ",",
        ",,;=,",
        "wait",
        "wait=",
        "wait=soon",
        "wait=-1",
        "wait=1.5",
        "wait=1e3",
        "wait=\u0665",
        "wait=0",
        'wait="',
        "await=5",
        "handling=lenient",
        'note="a, wait=5"',
        'note="a; wait=5", other',
        '"wait=5"',
        "x" * 100_000 + ", wait=5",
        '"' * 100_001,
    ],
)
def test_what_is_not_understood_is_no_preference(line: str) -> None:
    """Unknown, malformed and quoted text is left out of account."""
    assert preferences_of([line], max_wait=50) == NOTHING


def test_waiting_can_be_switched_off() -> None:
    """A server whose limit is 0 lets nobody wait."""
    assert preferences_of(["wait=5"], max_wait=0) == NOTHING


@pytest.mark.parametrize(
    ("preferences", "header"),
    [
        (NOTHING, ""),
        (Preferences(wait=5), "wait=5"),
        (Preferences(wait=0.5), "wait=0.5"),
        (Preferences(minimal=True), "return=minimal"),
        (Preferences(wait=86_400, minimal=True), "wait=86400, return=minimal"),
    ],
)
def test_what_was_applied_is_said(preferences: Preferences, header: str) -> None:
    """`Preference-Applied` names what was heeded, with the wait that was granted."""
    assert preferences.applied == header


def test_every_line_of_the_header_is_heeded(client: httpx.Client) -> None:
    """A request may have several `Prefer` lines."""
    lines = [("Prefer", "respond-async"), ("Prefer", "return=minimal"), ("Prefer", "wait=10")]
    answer = client.post("/jobs", json={"task": "echo", "params": {"value": 1}}, headers=lines)
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=10, return=minimal"
    assert "params" not in answer.json()


@pytest.mark.parametrize("line", ["handling=strict", ",,=;", 'x="'])
def test_unknown_preferences_are_accepted(client: httpx.Client, line: str) -> None:
    """A preference that nobody knows is no error."""
    body = {"task": "echo", "params": {"value": 1}}
    answer = client.post("/jobs", json=body, headers={"Prefer": line})
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers
