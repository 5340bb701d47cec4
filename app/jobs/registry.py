"""The registry: which tasks there are, and what each takes and returns."""

import difflib
import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, Self

from app.jobs.errors import InvalidParams, StartUpError, UnknownTask
from app.jobs.options import NAME_RULE, TaskOptions, is_task_name, options_of
from app.jobs.signature import BadSignature, Params, Result, params_of, result_of
from app.jobs.texts import to_json


class RegistryError(StartUpError):
    """Raised when a task cannot be registered; `file` and `line` say where it is written."""

    def __init__(self, message: str, file: str, line: int) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file = file
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A named coroutine function with the models of its params and its result."""

    name: str
    function: Callable[..., Coroutine[Any, Any, Any]]
    options: TaskOptions
    params: Params
    result: Result
    doc: str
    """The function's docstring, dedented; empty without one."""
    file: str
    line: int

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

    @property
    def max_attempts(self) -> int:
        """How often one job may be started."""
        return self.options.retries + 1


class TaskRegistry:
    """The tasks by name. Made once at start-up, then never changed."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        by_name: dict[str, Task] = {}
        for task in tasks:
            if other := by_name.get(task.name):
                raise RegistryError(
                    f"task {task.name!r} is defined already, at {other.file}:{other.line}: "
                    "give one of them another name with @task(name=...)",
                    task.file,
                    task.line,
                )
            by_name[task.name] = task
        self._tasks: Mapping[str, Task] = MappingProxyType(by_name)

    @classmethod
    def from_modules(cls, modules: Iterable[ModuleType]) -> Self:
        """The tasks that `@task` marked in these modules; a task found twice counts once.

        Raises `RegistryError` for a task that cannot be one.
        """
        marked: dict[Any, TaskOptions] = {}
        for module in modules:
            for value in vars(module).values():
                if options := options_of(value):
                    marked[value] = options
        return cls(task_from(function, options) for function, options in marked.items())

    def get(self, name: str) -> Task | None:
        """The task of that name, if there is one."""
        return self._tasks.get(name)

    def __getitem__(self, name: str) -> Task:
        """The task of that name; raises `UnknownTask` with the names that come close."""
        if task := self._tasks.get(name):
            return task
        raise UnknownTask(name, difflib.get_close_matches(name[:100], self._tasks, n=3))

    def __iter__(self) -> Iterator[Task]:
        """The tasks in the order of their definition."""
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)


def task_from(function: Callable[..., Coroutine[Any, Any, Any]], options: TaskOptions) -> Task:
    """The task that a marked function is; raises `RegistryError` with its file and line."""
    file, line = _where(function)
    name = options.name or str(getattr(function, "__name__", ""))
    try:
        _require_name(name)
        _require_coroutine_function(function)
        params = params_of(function, options.sensitive)
        _require_example_fits(options, params)
        result = result_of(function)
    except BadSignature as error:
        raise RegistryError(f"task {name!r}: {error}", file, line) from error
    return Task(
        name=name,
        function=function,
        options=options,
        params=params,
        result=result,
        doc=inspect.getdoc(function) or "",
        file=file,
        line=line,
    )


def _require_name(name: str) -> None:
    if not is_task_name(name):
        raise BadSignature(f"a task's name is {NAME_RULE}: give it one with @task(name=...)")


def _require_coroutine_function(function: object) -> None:
    if inspect.isasyncgenfunction(function):
        raise BadSignature("an async generator cannot be a task: return a value, do not yield")
    if not inspect.iscoroutinefunction(function):
        raise BadSignature("a task is a coroutine function: use async def")


def _require_example_fits(options: TaskOptions, params: Params) -> None:
    if options.example is None:
        return
    try:
        params.parse(to_json(dict(options.example)))
    except InvalidParams as error:
        raise BadSignature(f"its example does not fit its parameters: {error}") from error
    except (TypeError, ValueError) as error:
        raise BadSignature(f"its example is no JSON: {error}") from error


def _where(function: Any) -> tuple[str, int]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else ("<unknown>", 0)
