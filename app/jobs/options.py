"""`@task` and its options. The decorator is passive: it marks a function, it registers nothing."""

import inspect
import math
import re
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeGuard, TypeVar, overload

Backoff: TypeAlias = float | Callable[[int], float]
"""The first delay in seconds (it doubles, with full jitter, up to 60 s), or a function that gives
the exact delay after the failed attempt of that number."""

RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...]
"""The exceptions that are worth another attempt."""

CoroutineFunction = TypeVar("CoroutineFunction", bound=Callable[..., Coroutine[Any, Any, Any]])

_MARK: Final = "__awaitd_task__"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_INT32: Final = 1 << 31

NAME_RULE: Final = "1 to 64 of A-Z a-z 0-9 _ . -"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How a task is run. Raises `ValueError` for a value out of range."""

    name: str | None = None
    timeout: float | None = None
    retries: int = 0
    retry_on: RetryOn = Exception
    backoff: Backoff = 1.0
    max_running: int | None = None
    priority: int = 0
    example: Mapping[str, Any] | None = None
    sensitive: Collection[str] = ()

    def __post_init__(self) -> None:
        for option, (holds, rule) in _RULES.items():
            value = getattr(self, option)
            if not holds(value):
                raise ValueError(f"{option} is {rule}, not {value!r}")


def is_task_name(name: object) -> bool:
    """Whether jobs can be submitted to a task of this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


@overload
def task(function: CoroutineFunction, /) -> CoroutineFunction: ...


@overload
def task(
    *,
    name: str | None = None,
    timeout: float | None = None,
    retries: int = 0,
    retry_on: RetryOn = Exception,
    backoff: Backoff = 1.0,
    max_running: int | None = None,
    priority: int = 0,
    example: Mapping[str, Any] | None = None,
    sensitive: Collection[str] = (),
) -> Callable[[CoroutineFunction], CoroutineFunction]: ...


def task(function: CoroutineFunction | None = None, /, **options: Any) -> Any:
    """Mark a coroutine function as a task, so that jobs can run it.

    - `name`: its name over HTTP; by default the function's.
    - `timeout`: seconds one attempt may take; by default no limit. A submission may ask for less.
    - `retries`: how many further attempts a failed one gets; by default 0, so that it never runs
      twice. A task that may be repeated says so here.
    - `retry_on`: the exceptions that are worth another attempt; by default every `Exception`.
      A timeout and an interruption always are.
    - `backoff`: seconds before the second attempt; each later wait is up to twice as long, at
      random, at most 60 s. Or a function from the failed attempt's number to seconds.
    - `max_running`: how many jobs of this task run at once; by default no limit of its own.
    - `priority`: of its jobs, higher first, where the submission names none; by default 0.
    - `example`: params that work, shown in the documentation.
    - `sensitive`: the parameters that are secret, beside those of pydantic's secret types: nobody
      is shown what a job was given, and it is forgotten when the job ends.

    Raises `ValueError` for a value out of range, and `TypeError` for an option there is not or
    when what it marks is no function.
    """

    def mark(function: CoroutineFunction) -> CoroutineFunction:
        if not inspect.isfunction(function):
            raise TypeError(f"@task marks an async def, not {function!r}: options go by keyword")
        setattr(function, _MARK, TaskOptions(**options))
        return function

    return mark if function is None else mark(function)


def options_of(candidate: object) -> TaskOptions | None:
    """The options of a function that `@task` marked, else None."""
    options = getattr(candidate, "__dict__", {}).get(_MARK)
    return options if isinstance(options, TaskOptions) else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_integer(value: object, *, least: int) -> bool:
    return isinstance(value, int) and least <= value < _INT32


def _is_function(value: object) -> bool:
    return callable(value) and not inspect.iscoroutinefunction(value)


def _are_names(value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, Collection):
        return False
    return all(isinstance(name, str) for name in value)


def _are_exceptions(value: object) -> bool:
    classes = value if isinstance(value, tuple) else (value,)
    return all(isinstance(cls, type) and issubclass(cls, Exception) for cls in classes)


_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "name": (lambda v: v is None or is_task_name(v), NAME_RULE),
    "timeout": (lambda v: v is None or (_is_number(v) and v > 0), "more than 0 seconds, or None"),
    "retries": (lambda v: _is_integer(v, least=0), "a whole number, 0 or more"),
    "retry_on": (_are_exceptions, "an Exception class or a tuple of them"),
    "backoff": (
        lambda v: _is_function(v) or (_is_number(v) and v >= 0),
        "0 seconds or more, or a plain function",
    ),
    "max_running": (
        lambda v: v is None or _is_integer(v, least=1),
        "a whole number, 1 or more, or None",
    ),
    "priority": (lambda v: _is_integer(v, least=-_INT32), "a whole number of 32 bits"),
    "sensitive": (_are_names, "a tuple of parameter names"),
    "example": (lambda v: v is None or isinstance(v, Mapping), "the params by name, or None"),
}
