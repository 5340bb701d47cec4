"""Tasks that the tests of the dashboard submit by its forms, and that go on when a test says so."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue, SecretStr

from app.jobs import JobContext, task
from tests.support.tasks_for_tests import is_there, until_there


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Address(BaseModel):
    """Where something goes."""

    street: Annotated[str, Field(min_length=3)]
    city: str = "Berlin"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    is_good: bool = True


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []


@task(timeout=60, example={"customer": "Anna", "address": {"street": "Main 1"}, "size": "small"})
async def place_order(
    customer: Annotated[str, Field(min_length=2)],
    address: Address,
    size: Size,
    counts: Annotated[list[Annotated[int, Field(gt=0)]], Field(max_length=3)] = [],  # noqa: B006
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None,
    weights: dict[str, float] = {},  # noqa: B006
    note: str | None = None,
    is_gift: bool = False,
    tree: Tree | None = None,
) -> dict[str, JsonValue]:
    """Places an order.

    Whoever orders says where it goes.
    """
    return {"customer": customer, "counts": sum(counts)}


@task
async def give_back(value: JsonValue, *, job: JobContext) -> JsonValue:
    """Returns what it is given."""
    job.log("it was given something")
    return value


@task
async def walk(folder: Path, steps: int = 4, *, job: JobContext) -> str:
    """Takes a step whenever a file of that number is there."""
    for step in range(1, steps + 1):
        job.log(f"waits for step {step}")
        await until_there(folder / str(step))
        job.progress(step / steps, f"step {step} of {steps}")
    await until_there(folder / "end")
    return "arrived"


@task
async def stop_slowly(gate: Path) -> str:
    """When it is cancelled, it goes on until a file is there."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await until_there(gate)
    return "stopped"


@task(retries=1, backoff=0)
async def fail_once(gate: Path, *, job: JobContext) -> int:
    """Fails the first time."""
    if job.attempt == 1:
        raise ConnectionError("nobody is there")
    while not is_there(gate):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    return job.attempt


@task(sensitive=("pin",))
async def sign_in(user: str, password: SecretStr, pin: str = "none") -> int:
    """Returns how long the secrets are."""
    return len(password.get_secret_value()) + len(pin)
