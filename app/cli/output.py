"""What goes to stdout: the data, and nothing but the data."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import typer

from app.visible import visible

_COLORS: Final = {
    "running": typer.colors.CYAN,
    "completed": typer.colors.GREEN,
    "failed": typer.colors.RED,
    "cancelled": typer.colors.YELLOW,
}


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    output: Output,
    *,
    heading: bool = True,
) -> None:
    """Rows with all that is known of them, or in a table these columns of theirs."""
    match output:
        case Output.TABLE:
            cells = [[_cell(row.get(name)) for name in columns] for row in rows]
            _print_table([list(columns), *cells] if heading else cells)
        case Output.JSON:
            print_json(list(rows))
        case Output.JSONL:
            for row in rows:
                print_json(row, indent=None)


def print_members(members: Mapping[str, Any], output: Output) -> None:
    """One thing: a line for each of its members, or JSON."""
    if output is Output.TABLE:
        _print_table([[name, _cell(value)] for name, value in members.items()])
    else:
        print_json(members, indent=2 if output is Output.JSON else None)


def print_json(value: Any, indent: int | None = 2) -> None:
    """JSON that is safe to look at: what cannot be seen as it is comes as an escape."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    text = json.dumps(value, indent=indent, ensure_ascii=encoding != "utf8")
    typer.echo(text if text.isprintable() else "".join(map(_escaped, text)))


def _print_table(cells: list[list[str]]) -> None:
    """Columns side by side; a line is as long as it is, for programs to read and to be copied."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    colors = not os.environ.get("NO_COLOR")  # where there is no terminal `echo` drops them
    for line in cells:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        padded[-1] = padded[-1].rstrip()
        if colors:
            padded = [_colored(cell) for cell in padded]
        typer.echo("  ".join(padded).rstrip())


def _colored(cell: str) -> str:
    color = _COLORS.get(cell.rstrip())
    return cell if color is None else typer.style(cell, fg=color)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case str():
            return visible(value)
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return visible(",".join(value))
        case _:
            return visible(json.dumps(value, ensure_ascii=False))


def _escaped(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"
