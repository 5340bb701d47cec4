"""The picture of README: every ratio beside the one that it must be."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.figures import TIMES, Figure, number
from benchmarks.results import Results

INK: Final = "#7d8590"
"""Grey that can be read on white and on black."""

COLOURS: Final = {"aim": "#2da44e", "must": "#218bff", "no": "#d1622b"}


def pictured(results: Results) -> list[Figure]:
    """The ratios that have a must."""
    every = (figure for figures in results.figures.values() for figure in figures)
    return [figure for figure in every if figure.must is not None and not figure.unit]


def advantage(figure: Figure, value: float) -> float:
    """How many times better than what it is compared with: more is better for each of them."""
    return value if figure.is_floor else 1 / value


def draw(results: Results, path: Path) -> None:
    """Write the picture as SVG; the same results give the same bytes."""
    figures = pictured(results)
    if not figures:
        raise ValueError("no ratio with a must was measured")
    with saved(path, (8, 0.9 + 0.27 * len(figures))) as drawing:
        _bars(drawing, figures)


@contextlib.contextmanager
def saved(path: Path, size: tuple[float, float]) -> Iterator[Drawing]:
    """A drawing of this size in inches, written as SVG when the block ends."""
    with mpl.rc_context():
        mpl.rc("svg", hashsalt="awaitd", fonttype="none")
        mpl.rc("font", family="sans-serif", size=9)
        mpl.rc("text", color=INK)
        mpl.rc("axes", edgecolor=INK, labelcolor=INK)
        mpl.rc("xtick", color=INK)
        mpl.rc("ytick", color=INK)
        drawing = Drawing(figsize=size, layout="constrained")
        yield drawing
        drawing.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    # One line end, no spaces before it.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _bars(drawing: Drawing, figures: Sequence[Figure]) -> None:
    axes = drawing.subplots()
    rows = range(len(figures))
    values = [advantage(figure, figure.value) for figure in figures]
    colours = [COLOURS[figure.reached] for figure in figures]
    axes.set_xscale("log")
    axes.barh(rows, [value - 1 for value in values], left=1, height=0.62, color=colours)
    musts = [advantage(figure, figure.must or 1) for figure in figures]
    for row, value, must in zip(rows, values, musts, strict=True):
        end = max(value, 1)
        place = (must if end < must < 2.5 * end else end, row)  # beside both, over neither
        text = f"{number(value)}{TIMES}"
        axes.annotate(text, place, xytext=(4, 0), textcoords="offset points", va="center")
        axes.plot([must, must], [row - 0.42, row + 0.42], color=INK, linewidth=1.6)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.set_yticks(rows, [figure.name for figure in figures])
    axes.set_xlim(min(0.4, *values, *musts) * 0.8, max(2, *values, *musts) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{TIMES}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_yaxis()
    axes.set_xlabel("times better than the other; upright: what it must be")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
