"""Tests of what needs the environment of the benchmarks: `scripts/bench --check`."""

import contextlib
import importlib
import inspect
import io
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from benchmarks import curves, growth, results
from benchmarks.__main__ import main
from benchmarks.figures import Figure
from benchmarks.parts import PARTS
from benchmarks.picture import COLOURS, draw, pictured
from benchmarks.results import Results

GOOD = Figure(name="good to a peer", value=25, must=20, aim=24, is_floor=True)
FAIR = Figure(name="fair to a peer", value=0.5, must=0.6, aim=0.3)
BAD = Figure(name="bad to a peer", value=3, must=2)
SIZE = Figure(name="a size", value=90, unit="MB", must=100)
PLAIN = Figure(name="not judged", value=2)


class Pictures(unittest.TestCase):
    """A picture is made from a file of results."""

    def setUp(self) -> None:
        """A file of results."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        found = Results().with_part("peers", [GOOD, FAIR, BAD, SIZE, PLAIN], quick=False)
        results.save(found, self.folder / "results.json")
        self.found = results.load(self.folder / "results.json")

    def test_ratios_with_a_must_are_shown(self) -> None:
        """Each has its name and a bar in the colour of what it has reached."""
        draw(self.found, self.folder / "picture.svg")
        text = (self.folder / "picture.svg").read_text()
        ElementTree.fromstring(text)
        assert pictured(self.found) == [GOOD, FAIR, BAD]
        for figure, value in ((GOOD, "25.0"), (FAIR, "2.00"), (BAD, "0.33")):
            assert f">{figure.name}</text>" in text
            assert f">{value}" in text
            assert COLOURS[figure.reached] in text
        assert SIZE.name not in text
        assert PLAIN.name not in text

    def test_the_same_results_give_the_same_picture(self) -> None:
        """No date, no chance, and no larger than a page needs."""
        for name in ("one.svg", "two.svg"):
            draw(self.found, self.folder / name)
        one, two = ((self.folder / name).read_bytes() for name in ("one.svg", "two.svg"))
        assert one == two
        assert len(one) < 50_000

    def test_curves_are_drawn_from_the_figures_of_growth(self) -> None:
        """Every point that was measured is on the picture."""
        names = (growth.POLLED, growth.WAITED, growth.KEPT, growth.RESULT)
        figures = [
            Figure(name=f"CPU of a job {name}: {x:,}", value=x + 90, unit="µs")
            for name in names
            for x in (1, 1_000)
        ]
        curves.draw(figures, self.folder / "growth.svg")
        ElementTree.fromstring((self.folder / "growth.svg").read_text())
        assert set(growth.points(figures)) == set(names)


class Parts(unittest.TestCase):
    """The parts can be run, and what they cannot do is told."""

    def test_every_part_can_be_imported(self) -> None:
        """With what the lock of the benchmarks installs."""
        for name, part in PARTS.items():
            with self.subTest(name):
                measure = importlib.import_module(part.module).measure
                assert list(inspect.signature(measure).parameters) == ["quick"]

    def test_all_are_listed(self) -> None:
        """`--list` has a line for each."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            assert main(["--list"]) == 0
        assert [line.split()[0] for line in output.getvalue().splitlines()] == [*PARTS]

    def test_an_unknown_part_is_refused(self) -> None:
        """With those that there are."""
        output = io.StringIO()
        with contextlib.redirect_stderr(output), contextlib.suppress(SystemExit):
            raise AssertionError(f"it ran: {main(['nonsense'])}")
        assert "scheduler" in output.getvalue()


if __name__ == "__main__":
    unittest.main()
