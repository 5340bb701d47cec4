"""Measures the parts and writes what was found; `scripts/bench` prepares what it needs."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import curves, results
from benchmarks.figures import Figure
from benchmarks.parts import PARTS
from benchmarks.picture import draw, pictured
from benchmarks.processes import Missing
from benchmarks.results import Results

ROOT: Final = Path(__file__).parents[1]
KEPT: Final = ROOT / "benchmarks"
QUICK: Final = ROOT / "build" / "bench"
PAGE: Final = ROOT / "docs" / "performance.md"
PICTURE: Final = "docs/performance.svg"
CURVES: Final = "docs/growth.svg"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for; 1 if one could not be measured."""
    options = _options(arguments)
    if options.list:
        print("\n".join(f"{name:12}{part.about}" for name, part in PARTS.items()))
        return 0
    folder: Path = options.output or (QUICK if options.quick else KEPT)
    folder.mkdir(parents=True, exist_ok=True)
    found, failed = results.load(folder / "results.json"), False
    for name in options.parts or _default(options.quick):
        figures = _measured(name, quick=options.quick)
        if figures is None:
            failed = True
        elif figures:
            found = found.with_part(name, figures, quick=options.quick)
            _write(found, folder)
    return int(failed)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help="by default all")
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument("--list", action="store_true", help="name the parts")
    parser.add_argument("--output", type=Path, help="the folder to write to")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def _default(quick: bool) -> list[str]:
    return [name for name, part in PARTS.items() if part.in_quick or not quick]


def _measured(name: str, *, quick: bool) -> list[Figure] | None:
    """The figures of a part; none if it was skipped, None if it failed."""
    began = time.monotonic()
    figures: list[Figure] = []
    try:
        for figure in PARTS[name].measure(quick):
            figures.append(figure)
            print(f"{name}: {results.line(figure)}", flush=True)
    except Missing as missing:
        print(f"skipped {name}: {missing}", file=sys.stderr)
        return figures
    except Exception as error:  # the other parts can be measured all the same
        print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    print(f"{name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def _write(found: Results, folder: Path) -> None:
    """After each part, so that an interrupted run has left what it measured."""
    results.save(found, folder / "results.json")
    (folder / "results.md").write_text(f"# What was measured\n\n{results.table(found)}")
    if folder == KEPT:
        results.write_between_markers(PAGE, results.table(found, judged=True))
    if pictured(found):
        draw(found, ROOT / PICTURE if folder == KEPT else folder / "performance.svg")
    if growth := found.figures.get("growth"):
        curves.draw(growth, ROOT / CURVES if folder == KEPT else folder / "growth.svg")


if __name__ == "__main__":
    sys.exit(main())
