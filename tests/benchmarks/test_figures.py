from functools import partial

import pytest

from benchmarks.figures import Figure, Rounds, number, percentile, run_rounds


@pytest.mark.parametrize(
    ("value", "is_floor", "reached"),
    [
        (2.0, True, "aim"),
        (1.9, True, "aim"),
        (1.5, True, "must"),
        (1.0, True, "must"),
        (0.99, True, "no"),
        (0.5, False, "aim"),
        (1.0, False, "aim"),
        (1.5, False, "must"),
        (1.9, False, "must"),
        (2.0, False, "no"),
    ],
)
def test_what_a_figure_has_reached(value: float, is_floor: bool, reached: str) -> None:
    """A limit that is met exactly is reached; the better one counts."""
    must, aim = (1.0, 1.9) if is_floor else (1.9, 1.0)
    figure = Figure(name="a", value=value, must=must, aim=aim, is_floor=is_floor)
    assert figure.reached == reached


def test_without_a_must_nothing_is_judged() -> None:
    """A figure without limits has reached nothing and failed nothing; an aim may be missing."""
    assert Figure(name="a", value=1).reached == ""
    assert Figure(name="a", value=1, must=2).reached == "must"


def test_contestants_take_turns() -> None:
    """Every round has each contestant once, and another one begins each time."""
    turns: list[str] = []

    def turn(name: str) -> dict[str, float]:
        turns.append(name)
        return {"at": len(turns)}

    measured = run_rounds({name: partial(turn, name) for name in "abc"}, 4)
    assert "".join(turns) == "abcbcacababc"
    assert measured.samples["a"] == [{"at": 1}, {"at": 6}, {"at": 8}, {"at": 10}]


def test_medians_and_ratios() -> None:
    """A ratio is the median of the ratios of each round, so that a slow round is slow for both."""
    measured = Rounds(
        {
            "a": [{"cpu": 1.0}, {"cpu": 10.0}, {"cpu": 3.0}],
            "b": [{"cpu": 2.0}, {"cpu": 20.0}, {"cpu": 3.0}],
        }
    )
    assert measured.median("a", "cpu") == 3
    assert measured.median("b", "cpu") == 3
    assert measured.ratio("cpu", of="b", to="a") == 2
    assert measured.spread("b", "cpu") == "2.00 to 20.0"


@pytest.mark.parametrize(
    ("percent", "value"), [(50, 50), (99, 99), (99.9, 100), (100, 100), (0, 1), (1, 1)]
)
def test_percentiles(percent: float, value: float) -> None:
    """So many percent of the values are no greater, in any order."""
    assert percentile(reversed(range(1, 101)), percent) == value


def test_numbers_have_the_digits_that_count() -> None:
    """Large numbers have no decimals, small ones two."""
    assert [number(value) for value in (63000.4, 99.96, 3.14159)] == ["63,000", "100.0", "3.14"]
