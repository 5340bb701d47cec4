from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs import ids
from app.jobs.ids import JobIds, created_at, first_at, from_halves, halves, id_in, id_text
from app.jobs.kept import MOST, Kept

NOW = 1_700_000_000_000

millis = st.integers(0, (1 << 47) - 1)


class SteppingClock:
    """Shows the given times, one a look."""

    def __init__(self, times: list[int]) -> None:
        self._times = iter(times)

    def __call__(self) -> int:
        return next(self._times)


@given(times=st.lists(millis, min_size=1))
def test_ids_only_grow_whatever_the_clock_does(times: list[int]) -> None:
    """Also when the clock steps back, each id is greater than the one before, in both orders."""
    ids = JobIds(SteppingClock(times))
    made = [ids.next() for _ in times]
    assert all(a < b for a, b in pairwise(made))
    assert all(halves(a)[0] < halves(b)[0] for a, b in pairwise(made))
    assert created_at(made[0]) == times[0]
    assert all(created_at(id_) >= time for id_, time in zip(made, times, strict=True))


@given(now=millis)
def test_an_id_is_a_uuid_of_version_7(now: int) -> None:
    """Time, version and variant stand where RFC 9562 puts them."""
    made = JobIds(lambda: now).next()
    assert made.version == 7
    assert made.variant == RFC_4122
    assert made.bytes[:6] == now.to_bytes(6)
    assert created_at(made) == now


def test_ten_thousand_ids_of_one_millisecond_grow() -> None:
    """A full counter borrows from the next millisecond; the version stays."""
    ids = JobIds(lambda: NOW)
    made = [ids.next() for _ in range(10_000)]
    assert all(a < b for a, b in pairwise(made))
    assert {id_.version for id_ in made} == {7}
    assert created_at(made[4095]) == NOW
    assert created_at(made[4096]) == NOW + 1
    assert created_at(made[-1]) == NOW + 2


def test_ids_go_on_after_a_restart_with_an_earlier_clock() -> None:
    """Made with the newest id of the store, the next ones are greater."""
    newest = JobIds(lambda: NOW + 5_000).next()
    ids = JobIds(lambda: NOW, last=halves(newest)[0])
    assert newest < ids.next() < ids.next()


def test_ids_of_the_same_time_differ_at_random() -> None:
    """Two stores do not make the same id in the same millisecond."""
    made = {JobIds(lambda: NOW).next() for _ in range(1_000)}
    assert len(made) == 1_000


@given(id_=st.uuids())
def test_halves_are_signed_64_bit_integers_and_come_back(id_: UUID) -> None:
    """Any UUID survives being stored as two integers."""
    high, low = halves(id_)
    assert -(1 << 63) <= high < 1 << 63
    assert -(1 << 63) <= low < 1 << 63
    assert from_halves(high, low) == id_


@given(now=millis)
def test_the_first_id_at_a_time_is_not_above_any_other_of_that_time(now: int) -> None:
    """It lies between the ids of the millisecond before and all those of its own."""
    assert first_at(now) <= JobIds(lambda: now).next()
    assert created_at(first_at(now)) == now


@given(st.uuids())
def test_the_text_of_an_id_is_that_of_python_and_leads_back(id_: UUID) -> None:
    """In either case of its letters, whether it was kept or has to be read."""
    text = id_text(id_)
    assert text == str(id_)
    for known in (True, False):
        if not known:
            ids._ID.clear()
        assert id_in(text) == id_in(text.upper()) == id_
        assert repr(id_in(text)) == repr(id_)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no id",
        f"{UUID(int=1)}\n",
        f" {UUID(int=1)}",
        f"{{{UUID(int=1)}}}",
        UUID(int=1).hex,
        f"urn:uuid:{UUID(int=1)}",
        str(UUID(int=1)).replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        "0" * 65_536,
    ],
)
def test_anything_else_is_no_id_and_is_not_kept(text: str) -> None:
    """Nobody fills memory with what they ask for."""
    assert id_in(text) is None
    assert text not in ids._ID


def test_few_answers_are_kept_whichever_way_they_were_found() -> None:
    """An answer that is handed over counts, too."""
    kept = Kept(str)
    for number in range(10 * MOST):
        assert kept[number] == str(number)
        kept.keep(-number, "less")
        assert len(kept) <= MOST
    assert kept[1 - 10 * MOST] == "less"
