"""The picture of docs/performance.md: how the CPU time of a job grows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.figures import Figure
from benchmarks.growth import KEPT, POLLED, RESULT, WAITED, points
from benchmarks.picture import COLOURS, INK, saved

PANELS: Final[Mapping[str, Sequence[str]]] = {
    "connections": (POLLED, WAITED),
    "finished jobs in the journal": (KEPT,),
    "bytes of result": (RESULT,),
}


def draw(figures: Sequence[Figure], path: Path) -> None:
    """Write the picture as SVG, a panel for each thing that grows."""
    curves = points(figures)
    with saved(path, (8, 2.8)) as drawing:
        _panels(drawing, curves)


def _panels(drawing: Drawing, curves: Mapping[str, list[tuple[int, float]]]) -> None:
    for axes, (label, names) in zip(drawing.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for name, colour in zip(names, (COLOURS["must"], COLOURS["aim"]), strict=False):
            xs, ys = zip(*curves[name], strict=True)
            axes.plot(xs, ys, marker="o", markersize=3, color=colour, label=name.split(", ")[-1])
        _scale(axes, xs, [y for name in names for _, y in curves[name]])
        axes.set_xlabel(label)
        if len(names) > 1:
            axes.legend(frameon=False)
    drawing.supylabel("µs of CPU for a job", color=INK)


def _scale(axes: Axes, xs: Sequence[int], ys: Sequence[float]) -> None:
    axes.set_xscale("symlog", linthresh=next(filter(None, xs)))
    if max(ys) > 8 * min(ys):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.1 * max(ys))
    axes.xaxis.set_major_locator(FixedLocator(xs[:: 1 + len(xs) // 6]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axes.spines[["top", "right"]].set_visible(False)


def short(value: float) -> str:
    """A count as an axis has room for: 10k, 1M."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:.0f}{unit}"
    return f"{value:g}"
