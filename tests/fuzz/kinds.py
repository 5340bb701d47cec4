"""A task with a parameter of every kind."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, HttpUrl

from app.jobs import task


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: int
    y: float = 0


class Shape(BaseModel):
    kind: Literal["circle", "square"]
    at: Point
    colour: Colour | None = None


@task(timeout=30, retries=1)
async def keep(
    text: Annotated[str, Field(max_length=100)],
    number: Annotated[float, Field(ge=-1, lt=1)],
    whole: int | None = None,
    either: int | str = 0,
    flag: bool = False,
    when: datetime | None = None,
    day: date | None = None,
    span: timedelta | None = None,
    key: UUID | None = None,
    url: HttpUrl | None = None,
    shapes: list[Shape] = [],  # noqa: B006, never changed
    counts: dict[str, int] = {},  # noqa: B006, as above
) -> int:
    """Takes them and says how many characters the text has."""
    return len(text)
