"""The floors: imports point down only, in no cycle, and files and functions stay short."""

import ast
import graphlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

FLOORS: Final = {
    "app/__init__.py": 0,
    "app/durable.py": 0,
    "app/short_answers.py": 0,
    "app/scheduler/": 0,
    "app/visible.py": 0,
    "app/client/": 1,
    "app/jobs/": 1,
    "app/keys.py": 1,
    "app/large_pages.py": 1,
    "app/log_context.py": 1,
    "app/outbound.py": 1,
    "app/receivers.py": 1,
    "app/signing.py": 1,
    "app/unanswered.py": 1,
    "app/api/": 2,
    "app/engines/": 2,
    "app/fingerprint_key.py": 2,
    "app/log_lines.py": 2,
    "app/metrics.py": 2,
    "app/fetch.py": 2,
    "app/settings.py": 2,
    "app/shutdown.py": 2,
    "app/tasks/": 2,
    "app/telemetry.py": 2,
    "app/tracing.py": 2,
    "app/webhooks.py": 2,
    "app/cycle.py": 3,
    "app/framing.py": 3,
    "app/limits.py": 3,
    "app/main.py": 3,
    "app/outbox.py": 3,
    "app/protocol.py": 3,
    "app/serving.py": 3,
    "app/working.py": 3,
    "app/cli/": 4,
    "app/__main__.py": 5,
}
"""The floor of each file, by its own path or its folder's."""

LIBRARIES: Final = {
    "app/__init__.py": "",
    "app/durable.py": "",
    "app/scheduler/": "",
    "app/short_answers.py": "httpcore",
    "app/visible.py": "",
    "app/client/": "httpx stamina",
    "app/jobs/": "msgspec pydantic pydantic_core",
    "app/keys.py": "",
    "app/large_pages.py": "",
    "app/log_context.py": "",
    "app/outbound.py": "httpcore httpx",
    "app/receivers.py": "httpx",
    "app/signing.py": "standardwebhooks",
    "app/unanswered.py": "httpx",
}
"""What the two lowest floors may import beside the standard library."""

ONLY_IN: Final = {
    "apsw": "app/engines/embedded/",
    "httpcore": "app/outbound.py app/short_answers.py",
    "httptools": "app/protocol.py",
    "httpx": "app/client/transport.py app/outbound.py app/receivers.py app/tasks/ "
    "app/unanswered.py app/webhooks.py",
    "opentelemetry": "app/tracing.py",
    "procrastinate": "app/engines/postgres/",
    "prometheus_client": "app/metrics.py",
    "psycopg": "app/engines/postgres/",
    "psycopg_pool": "app/engines/postgres/",
    "rich": "app/cli/",
    "standardwebhooks": "app/signing.py",
    "stamina": "app/cli/ app/client/transport.py",
    "structlog": "app/log_lines.py app/telemetry.py",
    "tests": "tests/",
    "typer": "app/cli/",
    "uvicorn": "app/cycle.py app/protocol.py app/serving.py",
}
"""The few places that know a library, so that it can be exchanged or left out."""

MAX_LINES: Final = 300
MAX_FUNCTION_LINES: Final = 40


@dataclass(frozen=True)
class Module:
    """One file, and the dotted names that it imports anywhere in it."""

    path: str
    lines: int
    tree: ast.Module
    imports: frozenset[str]

    @property
    def floor(self) -> int:
        return FLOORS.get(self.place, 0)

    @property
    def place(self) -> str:
        """Its key in the table of floors; empty if it has none."""
        places = (place for place in FLOORS if is_in(self.path, place))
        return next(places, "")

    @property
    def folder(self) -> str:
        """Files of one folder may know each other; each engine is a folder of its own."""
        depth = 3 if self.path.startswith("app/engines/") else 2
        return "/".join(self.path.split("/")[:-1][:depth])

    @property
    def libraries(self) -> set[str]:
        """The imported packages that are neither awaitd's nor Python's."""
        return {name.partition(".")[0] for name in self.imports} - sys.stdlib_module_names - {"app"}


Modules = dict[str, Module]


def is_in(path: str, place: str) -> bool:
    """True if it is the place, or below it."""
    return path.startswith(place) if place.endswith("/") else path == place


def read_modules(root: Path) -> Modules:
    """The modules of `root/app` by their dotted names."""
    files = sorted((root / "app").rglob("*.py"))
    paths = {name_of(path.relative_to(root)): path for path in files}
    return {name: read_module(root, name, path, set(paths)) for name, path in paths.items()}


def name_of(path: Path) -> str:
    """The dotted name of a module or package."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def read_module(root: Path, name: str, path: Path, known: set[str]) -> Module:
    """Parse one file."""
    source = path.read_text()
    tree = ast.parse(source)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = frozenset(imports_of(tree, package, known))
    return Module(path.relative_to(root).as_posix(), len(source.splitlines()), tree, imports)


def imports_of(tree: ast.Module, package: str, known: set[str]) -> Iterator[str]:
    """What is imported, inside functions and for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield submodule if submodule in known else base


def homeless_files(modules: Modules) -> Iterator[str]:
    """Files that stand on no floor."""
    for module in modules.values():
        if not module.place:
            yield f"{module.path} has no floor"


def wrong_imports(modules: Modules) -> Iterator[str]:
    """Imports that point up, or across folders of one floor."""
    for module in modules.values():
        for name in module.imports & modules.keys():
            target = modules[name]
            if target.floor > module.floor:
                yield f"{module.path} imports {target.path}, which is above it"
            elif target.floor == module.floor and target.folder != module.folder:
                yield f"{module.path} imports {target.path}, which is beside it"


def wrong_libraries(modules: Modules) -> Iterator[str]:
    """Libraries where they should not be known."""
    for module in modules.values():
        for library in module.libraries:
            allowed = library in LIBRARIES.get(module.place, library).split()
            places = ONLY_IN.get(library, "app/").split()
            if not (allowed and any(is_in(module.path, place) for place in places)):
                yield f"{module.path} imports {library}"


def import_cycles(modules: Modules) -> Iterator[str]:
    """One cycle of imports, if there is any."""
    graph = {name: module.imports & modules.keys() for name, module in modules.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        yield " imports ".join(reversed(error.args[1]))


def long_files(modules: Modules) -> Iterator[str]:
    """Files and functions that have grown too long."""
    for module in modules.values():
        if module.lines > MAX_LINES:
            yield f"{module.path} has {module.lines} lines"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield f"{module.path}: {node.name} has {lines} lines"


Check = Callable[[Modules], Iterator[str]]
CHECKS: Final[list[Check]] = [
    homeless_files,
    wrong_imports,
    wrong_libraries,
    import_cycles,
    long_files,
]


@pytest.fixture(scope="module")
def modules() -> Modules:
    """The modules of awaitd."""
    return read_modules(ROOT)


@pytest.mark.parametrize("check", CHECKS)
def test_the_house_keeps_its_rules(modules: Modules, check: Check) -> None:
    """Every file has a floor, imports down only, knows its own libraries only, and is short."""
    assert len(modules) > 10
    assert sorted(check(modules)) == []


LAZY = "def later():\n    from app.{}\n"
TYPING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import app.{}\n"


@pytest.mark.parametrize(
    ("check", "files", "complaint"),
    [
        (homeless_files, {"new.py": ""}, "app/new.py has no floor"),
        (
            wrong_imports,
            {"jobs/a.py": "from app.api.b import c", "api/b.py": ""},
            "app/jobs/a.py imports app/api/b.py, which is above it",
        ),
        (
            wrong_imports,
            {"jobs/a.py": LAZY.format("api import b"), "api/b.py": ""},
            "app/jobs/a.py imports app/api/b.py, which is above it",
        ),
        (
            wrong_imports,
            {"jobs/a.py": TYPING.format("api.b"), "api/b.py": ""},
            "app/jobs/a.py imports app/api/b.py, which is above it",
        ),
        (
            wrong_imports,
            {"api/a.py": "from ..engines.embedded import b", "engines/embedded/b.py": ""},
            "app/api/a.py imports app/engines/embedded/b.py, which is beside it",
        ),
        (
            wrong_imports,
            {"engines/one/a.py": "import app.engines.two.b", "engines/two/b.py": ""},
            "app/engines/one/a.py imports app/engines/two/b.py, which is beside it",
        ),
        (
            wrong_libraries,
            {"scheduler/a.py": "import pydantic"},
            "app/scheduler/a.py imports pydantic",
        ),
        (wrong_libraries, {"jobs/a.py": "import fastapi.sse"}, "app/jobs/a.py imports fastapi"),
        (wrong_libraries, {"api/a.py": "from httpx import get"}, "app/api/a.py imports httpx"),
        (wrong_libraries, {"tasks/a.py": "import tests"}, "app/tasks/a.py imports tests"),
        (
            import_cycles,
            {"api/a.py": "from app.api import b", "api/b.py": LAZY.format("api.a import c")},
            "app.api.a imports app.api.b imports app.api.a",
        ),
        (long_files, {"api/a.py": "\n" * 301}, "app/api/a.py has 301 lines"),
        (
            long_files,
            {"api/a.py": "class A:\n    async def b():\n" + "        1\n" * 40},
            "app/api/a.py: b has 41 lines",
        ),
    ],
)
def test_a_broken_rule_is_noticed(
    tmp_path: Path, check: Check, files: dict[str, str], complaint: str
) -> None:
    """Each rule complains of a tree that breaks it, and names the file."""
    for path, source in files.items():
        file = tmp_path / "app" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    assert complaint in list(check(read_modules(tmp_path)))
