"""What was measured, kept: as JSON, as a table, and in docs/performance.md between two markers."""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import TIMES, Figure, number
from benchmarks.parts import PARTS

BEGIN: Final = "<!-- figures: written by scripts/bench -->"
END: Final = "<!-- end of figures -->"

_HEAD: Final = "| figure | value | must | aim | reached | how |\n|---|--:|--:|--:|---|---|\n"
_REACHED: Final = {"aim": "aim", "must": "must", "no": "**no**", "": ""}


@dataclass(frozen=True)
class Results:
    """The figures of each part that was measured, and those parts that were measured quickly."""

    machine: str = ""
    figures: Mapping[str, Sequence[Figure]] = field(default_factory=dict)
    quick: frozenset[str] = frozenset()

    def with_part(self, part: str, figures: Sequence[Figure], *, quick: bool) -> "Results":
        """The same with this part measured anew, in the order of `PARTS`."""
        new = {**self.figures, part: tuple(figures)}
        ordered = {name: new[name] for name in PARTS if name in new}
        return Results(machine(), ordered, self.quick - {part} | ({part} if quick else set()))


def machine() -> str:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{len(os.sched_getaffinity(0))} processors ({models[0] if models else platform.machine()})"
        f", {platform.system()} {platform.release().partition('-')[0]}"
        f", Python {platform.python_version()}"
    )


def load(path: Path) -> Results:
    """Read what `save` wrote; nothing if there is no file."""
    if not path.exists():
        return Results()
    kept: dict[str, Any] = json.loads(path.read_text())
    parts = kept["parts"]
    return Results(
        kept["machine"],
        {name: tuple(Figure(**_shown(each)) for each in part["figures"])
         for name, part in parts.items()},
        frozenset(name for name, part in parts.items() if part["quick"]),
    )  # fmt: skip


def save(results: Results, path: Path) -> None:
    """Write the figures as JSON, each with what it has reached."""
    parts = {
        name: {
            "quick": name in results.quick,
            "figures": [asdict(figure) | {"reached": figure.reached} for figure in figures],
        }
        for name, figures in results.figures.items()
    }
    text = json.dumps({"machine": results.machine, "parts": parts}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n")


def table(results: Results, *, judged: bool = False) -> str:
    """Markdown: a table for each part, a row for each figure, or for each that has a must."""
    blocks = [f"Measured on {results.machine}."]
    for name, figures in results.figures.items():
        note = " (quick: few and short rounds)" if name in results.quick else ""
        rows = "".join(_row(each) for each in figures if each.must is not None or not judged)
        if rows:
            blocks.append(f"### {name}: {PARTS[name].about}{note}\n\n{_HEAD}{rows}".rstrip())
    return "\n\n".join(blocks) + "\n"


def write_between_markers(path: Path, text: str) -> None:
    """Put the table where a page has its markers."""
    page = path.read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def line(figure: Figure) -> str:
    """One figure as a line of text."""
    return f"{figure.name}: {_value(figure)}{''.join(f', {text}' for text in _judged(figure))}"


def _judged(figure: Figure) -> Iterator[str]:
    if figure.must is not None:
        yield f"must {_limit(figure, figure.must)}"
        yield {"aim": "aim reached", "must": "reached", "no": "NOT REACHED"}[figure.reached]


def _row(figure: Figure) -> str:
    how = "<br>".join(text for text in (figure.how, figure.detail) if text).replace("|", "/")
    must, aim = (_limit(figure, limit) for limit in (figure.must, figure.aim))
    reached = _REACHED[figure.reached]
    return f"| {figure.name} | {_value(figure)} | {must} | {aim} | {reached} | {how} |\n"


def _value(figure: Figure) -> str:
    return f"{number(figure.value)} {figure.unit or TIMES}"


def _limit(figure: Figure, limit: float | None) -> str:
    if limit is None:
        return ""
    return f"{'≥' if figure.is_floor else '≤'} {limit:g}"


def _shown(kept: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kept.items() if name != "reached"}
