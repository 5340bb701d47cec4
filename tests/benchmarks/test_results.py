from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.figures import TIMES, Figure
from benchmarks.results import BEGIN, END, Results

SPEED = Figure(
    name="speed", value=1.234, must=1.0, aim=1.9, is_floor=True, how="5 rounds", detail="a | b"
)
SIZE = Figure(name="size", value=130.0, unit="MB", must=120)
PLAIN = Figure(name="plain", value=7.0, unit="ms")


@pytest.fixture
def measured() -> Results:
    """Two parts, one of them measured quickly, in another order than they are listed."""
    found = Results().with_part("journal", [SIZE, PLAIN], quick=True)
    return found.with_part("http", [SPEED], quick=False)


def test_results_come_back_as_they_were_saved(tmp_path: Path, measured: Results) -> None:
    """What is read is what was written; no file is no results."""
    assert results.load(tmp_path / "none.json") == Results()
    results.save(measured, tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == measured


def test_saved_figures_say_what_they_reached(tmp_path: Path, measured: Results) -> None:
    """A reader of the JSON needs no rules to tell what failed."""
    results.save(measured, tmp_path / "results.json")
    text = (tmp_path / "results.json").read_text()
    assert [text.count(f'"reached": "{word}"') for word in ("must", "no", "")] == [1, 1, 1]


def test_a_part_measured_anew_replaces_its_figures_only(measured: Results) -> None:
    """Parts keep their order and the others their figures, quick or not."""
    assert list(measured.figures) == ["http", "journal"]
    assert measured.quick == {"journal"}
    again = measured.with_part("journal", [PLAIN], quick=False)
    assert (again.figures["http"], again.figures["journal"]) == ((SPEED,), (PLAIN,))
    assert again.quick == set()


def test_the_table(measured: Results) -> None:
    """A row has the value, what it must be and should be, what it reached and how it was found."""
    rows = results.table(measured).splitlines()
    speed = f"| speed | 1.23 {TIMES} | ≥ 1 | ≥ 1.9 | must | 5 rounds<br>a / b |"
    assert rows[2].startswith("### http: ")
    assert rows[6] == speed
    assert rows[8].startswith("### journal: ")
    assert rows[8].endswith("(quick: few and short rounds)")
    assert rows[12:] == [
        "| size | 130 MB | ≤ 120 |  | **no** |  |",
        "| plain | 7.00 ms |  |  |  |  |",
    ]


def test_the_table_of_what_is_judged(measured: Results) -> None:
    """It leaves out figures that need not be anything, and parts that have no others."""
    found = measured.with_part("lists", [PLAIN], quick=False)
    text = results.table(found, judged=True)
    assert "| speed |" in text
    assert "plain" not in text
    assert "### lists" not in text


def test_a_line(measured: Results) -> None:
    """What the terminal shows while it measures."""
    lines = [results.line(figure) for figure in (SPEED, SIZE, PLAIN)]
    assert lines == [
        f"speed: 1.23 {TIMES}, must ≥ 1, reached",
        "size: 130 MB, must ≤ 120, NOT REACHED",
        "plain: 7.00 ms",
    ]


def test_the_page_keeps_what_is_around_its_table(tmp_path: Path) -> None:
    """The table is written between the markers, again and again."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for _ in range(2):
        results.write_between_markers(page, "new\n")
    assert page.read_text() == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    """It is an error, and the page stays as it was."""
    page = tmp_path / "page.md"
    page.write_text(f"{END} text {BEGIN}")
    with pytest.raises(ValueError, match=r"page\.md"):
        results.write_between_markers(page, "new")
    assert page.read_text() == f"{END} text {BEGIN}"
