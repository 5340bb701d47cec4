import ast
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.parts import PARTS
from benchmarks.results import BEGIN, END

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text()
SCRIPT = ROOT / "scripts" / "bench"


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_there(name: str) -> None:
    """The module of every part has `measure(quick)`; read, since what it imports may be missing."""
    spec = find_spec(PARTS[name].module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [each.arg for each in functions["measure"].args.args] == ["quick"]


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_documented(name: str) -> None:
    """Every part has a heading on the page of performance, alone or with others."""
    titles = re.findall(r"^### (.+)$", PAGE.partition("## What each part means")[2], re.MULTILINE)
    words = {word for title in titles for word in re.findall(r"\w+", title)}
    assert name in words or (name == "growth" and "## How cost grows" in PAGE)


def test_the_page_can_take_its_table() -> None:
    """It has each marker once, in order."""
    assert PAGE.count(BEGIN) == PAGE.count(END) == 1
    assert PAGE.index(BEGIN) < PAGE.index(END)


def test_pictures_are_there() -> None:
    """Every picture that README or the page of performance shows exists."""
    readme = (ROOT / "README.md").read_text()
    shown = [ROOT / path for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme)]
    shown += [ROOT / "docs" / path for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE)]
    assert ROOT / "docs" / "performance.svg" in shown
    assert all(path.is_file() for path in shown)


def test_help_needs_nothing(tmp_path: Path) -> None:
    """`scripts/bench --help` makes no environment."""
    environment = {"PATH": "/usr/bin:/bin", "VENV": str(tmp_path / "venv")}
    shown = subprocess.run(
        [SCRIPT, "--help"], env=environment, capture_output=True, text=True, check=True
    )
    assert "scripts/bench --quick" in shown.stdout
    assert "apt-get install wrk redis-server postgresql" in shown.stdout
    assert not (tmp_path / "venv").exists()
