from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.settings import Settings

Schema = dict[str, Any]

MODULE = """
from typing import Annotated
from pydantic import BaseModel, Field
from app.jobs import task

class Title(BaseModel):
    title: str | None = None

@task(name="_", timeout=5)
async def nameless(
    title: Annotated[Title | None, Field(title="Its own")] = None, size: int | None = None
) -> None: ...
"""


@pytest.fixture(scope="module")
def document() -> Schema:
    """The document of the service with the tasks that ship."""
    return create_app(Settings()).openapi()


@pytest.fixture(scope="module")
def schemas(document: Schema) -> dict[str, Schema]:
    """Its named schemas, of which generators make types."""
    schemas: dict[str, Schema] = document["components"]["schemas"]
    return schemas


def _members(schemas: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    for owner, schema in schemas.items():
        for name, member in schema.get("properties", {}).items():
            yield f"{owner}.{name}", member


def test_what_may_be_null_has_one_type(schemas: dict[str, Schema]) -> None:
    """A union with null is a list of types, except of references."""
    unions = {name: member["anyOf"] for name, member in _members(schemas) if "anyOf" in member}
    assert all("$ref" in union[0] for union in unions.values()), unions
    assert schemas["Job"]["properties"]["timeout"]["type"] == ["number", "null"]


def test_nothing_is_null_by_default(schemas: dict[str, Schema]) -> None:
    """What has a default is required in some generated types: null says no more than absence."""
    assert not [name for name, member in _members(schemas) if member.get("default", 0) is None]


def test_no_member_is_a_class_of_its_own(schemas: dict[str, Schema]) -> None:
    """Objects inside others have names, which the classes of generated clients are called by."""
    inline = [name for name, member in _members(schemas) if member.get("type") == "object"]
    assert inline == []
    labels = [member for name, member in _members(schemas) if name.endswith(".labels")]
    assert {member.get("anyOf", [member])[0]["$ref"] for member in labels} == {
        "#/components/schemas/Labels"
    }


def test_a_task_bounds_the_timeout_of_its_jobs(schemas: dict[str, Schema]) -> None:
    """Up to its own limit where it has one."""
    assert schemas["SubmitCountPrimes"]["properties"]["timeout"]["maximum"] == 60
    assert schemas["SubmitSleep"]["properties"]["timeout"]["maximum"] > 60


def test_a_copy_names_one_of_the_tasks(schemas: dict[str, Schema]) -> None:
    """`TaskName` has them all."""
    assert schemas["SubmitCopy"]["properties"]["task"] == {"$ref": "#/components/schemas/TaskName"}
    assert "sleep" in schemas["TaskName"]["enum"]


def test_every_answer_has_an_example(document: Schema) -> None:
    """In each of its media types."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                for media_type, body in response.get("content", {}).items():
                    assert body.keys() & {"example", "examples"}, (path, status, media_type)


def test_streams_are_event_streams_only(document: Schema) -> None:
    """No JSON is said to come from them."""
    for path in ("/events", "/jobs/{job_id}/events"):
        assert list(document["paths"][path]["get"]["responses"]["200"]["content"]) == [
            "text/event-stream"
        ]


def test_titles_of_a_tasks_own_stay(tmp_path: Path) -> None:
    """A parameter may be called `title`, be titled, and belong to a task without a letter."""
    module = tmp_path / "own.py"
    module.write_text(MODULE)
    schemas = create_app(Settings(tasks=(str(module),))).openapi()["components"]["schemas"]
    assert schemas["TaskParams"]["properties"]["title"]["title"] == "Its own"
    assert schemas["TaskParams"]["properties"]["size"] == {"type": ["integer", "null"]}
    assert schemas["Task_Title"]["properties"]["title"] == {"type": ["string", "null"]}
    assert schemas["SubmitTask"]["properties"]["task"]["const"] == "_"
