import re
from dataclasses import fields
from pathlib import Path

import pytest

from app.api.problem_types import PROBLEMS
from app.jobs.loading import load_modules
from app.jobs.options import TaskOptions
from app.jobs.registry import TaskRegistry
from app.main import create_app
from app.outbound import OutboundPolicy
from app.scheduler import Status
from app.scheduler.states import TRANSITIONS
from app.settings import CLIENT_SETTINGS, PREFIX, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LINKED = [ROOT / path for path in re.findall(r"\]\(([\w/.-]+\.md)\)", README)]
DOCS = README + "".join(path.read_text() for path in LINKED)


def test_readme_is_short() -> None:
    """README has fewer than 150 lines."""
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.name)
def test_what_readme_links_is_there(path: Path) -> None:
    """Every page that README links to exists."""
    assert path.is_file()


@pytest.mark.parametrize("name", [PREFIX + field.upper() for field in Settings.model_fields])
def test_settings_are_documented(name: str) -> None:
    """Every setting stands in README."""
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(AWAITD_[A-Z_]+)`", DOCS))))
def test_documented_settings_exist(name: str) -> None:
    """Every setting that the docs name is one."""
    assert name in CLIENT_SETTINGS or name.removeprefix(PREFIX).lower() in Settings.model_fields


def test_defaults_are_documented() -> None:
    """The defaults in README's table of settings are the settings' own."""
    rows = re.findall(r"^\| (`AWAITD_[^|]+) \| ([^|]+) \|", README, re.MULTILINE)
    for names, defaults in rows:
        shown = defaults.strip().strip("`").removesuffix(" each").split(", ")
        for name in re.findall(r"AWAITD_([A-Z_]+)", names):
            default = Settings.model_fields[name.lower()].default
            text = ", ".join(default) if isinstance(default, tuple) else str(default)
            if default == OutboundPolicy():
                text = "empty"
            assert text.lower() in [value.lower() for value in shown], name


def test_routes_are_documented() -> None:
    """Every route of the OpenAPI document stands in README's table, with its verb."""
    paths = create_app(Settings()).openapi()["paths"]
    for path, operations in paths.items():
        for verb in operations:
            assert f"`{verb.upper()} {path}`" in README


@pytest.mark.parametrize("slug", PROBLEMS)
def test_problems_are_documented(slug: str) -> None:
    """Every problem stands in the docs, with its status."""
    assert f"| `{slug}` | {PROBLEMS[slug].status}:" in DOCS


@pytest.mark.parametrize("option", [field.name for field in fields(TaskOptions)])
def test_task_options_are_documented(option: str) -> None:
    """Every option of `@task` stands in README's table."""
    assert re.search(rf"^\| `{option}` \|", README, re.MULTILINE)


def test_state_diagram_is_the_table() -> None:
    """README's state diagram has the steps of the table of states, and no others."""
    drawn = set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", README, re.MULTILINE))
    assert drawn == {(start, end, step) for (start, step), end in TRANSITIONS.items()}
    assert "[*] --> " + Status.PENDING in README


def test_the_example_task_is_one(tmp_path: Path) -> None:
    """The module of tasks that README shows loads, and its example fits."""
    code = re.search(r"```python\n(# mytasks\.py\n.*?)```", README, re.DOTALL)
    assert code is not None
    file = tmp_path / "mytasks.py"
    file.write_text(code.group(1))
    registry = TaskRegistry.from_modules(load_modules([str(file)]))
    assert [task.name for task in registry] == ["page_size"]
