"""Finding the modules that tasks live in: dotted names, `.py` files and installed packages."""

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from app.jobs.errors import StartUpError
from app.jobs.texts import message_of

ENTRY_POINTS: Final = "awaitd.tasks"


class BadModule(StartUpError):
    """Raised when a module of tasks cannot be imported; the message has file and line."""


def load_modules(specs: Iterable[str]) -> list[ModuleType]:
    """The modules named by dotted names or paths to `.py` files, then those of entry points.

    A module in the working directory, or beside a file that is named, can be imported too.
    Raises `BadModule`.
    """
    _add_to_path(Path.cwd())
    modules = [_load(spec) for spec in specs]
    modules += [_load(entry.value.partition(":")[0]) for entry in entry_points(group=ENTRY_POINTS)]
    return modules


def _load(spec: str) -> ModuleType:
    try:
        return _load_file(Path(spec)) if spec.endswith(".py") else importlib.import_module(spec)
    except KeyboardInterrupt:
        raise
    # Importing runs the module, which may raise anything, SystemExit included.
    except BaseException as error:
        raise BadModule(f"cannot import the tasks of {spec!r}: {_explain(error)}") from error


def _load_file(path: Path) -> ModuleType:
    path = Path(os.path.abspath(path.expanduser()))
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    _add_to_path(path.parent)
    if _is_found_by(path.stem, path):
        return importlib.import_module(path.stem)
    # Two teams may both have a tasks.py, and a queue.py must not hide the standard library's.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    return sys.modules.get(name) or _execute(name, path)


def _is_found_by(name: str, path: Path) -> bool:
    """Whether a plain import of the name leads to this file, as the modules beside it may do."""
    if "." in name:
        return False
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # there is one that was not imported, as __main__
        return False
    return bool(spec and spec.origin and Path(spec.origin).resolve() == path.resolve())


def _execute(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # what ends in .py is Python source
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # as import does: half a module is none
        raise
    return module


def _add_to_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _explain(error: BaseException) -> str:
    """What was raised and where: the innermost line outside of any function.

    That is a line of the module itself, also where what it calls is not: `@task(retries=-1)`.
    """
    text = f"{type(error).__name__}: {message_of(error)}"
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}: {text}"
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.name == "<module>"]
    return f"{lines[-1].filename}:{lines[-1].lineno}: {text}" if lines else text
