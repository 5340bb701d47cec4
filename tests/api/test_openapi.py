import json
import re
from types import ModuleType
from typing import Annotated, Any, Literal

import httpx
import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel, Field

from app.api.openapi import openapi_of
from app.api.problem_types import PROBLEMS
from app.jobs import task
from app.jobs.registry import TaskRegistry
from app.main import build_app
from app.settings import Settings
from tests.support.contract import Contract, is_json
from tests.support.engines import EndlessEngine
from tests.support.server import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / "openapi.json").read_text())
OPERATIONS: dict[str, Any] = {
    f"{method} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())


def document_of(*tasks: Any) -> dict[str, Any]:
    """The document of a service with these tasks."""
    module = ModuleType("tasks_of_a_test")
    vars(module).update({f"task_{n}": task for n, task in enumerate(tasks)})
    registry = TaskRegistry.from_modules([module])
    return openapi_of(build_app(Settings.model_construct(), registry, EndlessEngine()), registry)


def submissions(document: dict[str, Any]) -> Any:
    """The schema of what POST /jobs takes."""
    return document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]


def test_the_committed_document_is_valid() -> None:
    """openapi.json is OpenAPI 3.1 as its own schema has it."""
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_the_document_with_other_tasks_is_valid(client: httpx.Client) -> None:
    """So is the document of a server with tasks of its own."""
    validate(client.get("/openapi.json").json())


def test_the_store_may_not_answer() -> None:
    """Whatever reads or changes jobs says that the store may be unavailable."""
    parts = {"jobs", "events", "stats", "metrics", "tasks", "backup"}
    asking = {name: o for name, o in OPERATIONS.items() if name.split("/")[1] in parts}
    assert len(asking) > 10
    for operation in asking.values():
        assert "store-unavailable" in operation["responses"]["503"]["description"]


@every_operation
def test_every_operation_is_named_and_explained(operation: dict[str, Any]) -> None:
    """Each operation has a name of its own making, a summary, a description and a tag."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"])
    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}


def test_operations_have_different_names() -> None:
    """No two operations share a name."""
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(names) == len(set(names))


@every_operation
def test_every_answer_has_examples_that_fit(operation: dict[str, Any]) -> None:
    """Each documented body has an example, and each example fits its schema."""
    contract = Contract(DOCUMENT)
    for status, response in operation["responses"].items():
        assert response["description"]
        if status in ("204", "304"):
            continue
        for media_type, media in response["content"].items():
            if not is_json(media_type):
                assert media["example"]
                continue
            assert media["examples"]
            for example in media["examples"].values():
                value = contract.example(example)
                contract.require_valid(value, media["schema"])
                if media_type == "application/problem+json":
                    assert str(value["status"]) == status


@every_operation
def test_every_documented_problem_has_a_page(
    client: httpx.Client, operation: dict[str, Any]
) -> None:
    """The type of each documented problem is a page of the server."""
    contract = Contract(DOCUMENT)
    for response in operation["responses"].values():
        problems = response.get("content", {}).get("application/problem+json", {})
        for example in problems.get("examples", {}).values():
            assert client.get(contract.example(example)["type"]).status_code == 200


def test_every_problem_is_documented_somewhere() -> None:
    """Each problem stands at some operation, but for that of methods that no operation has."""
    documented = {
        slug
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        for slug in response.get("content", {})
        .get("application/problem+json", {})
        .get("examples", {})
    }
    assert PROBLEMS.keys() - documented == {"method-not-allowed"}


def test_parameters_have_an_example() -> None:
    """Each header and query parameter is described, with an example that no form is filled with."""
    for operation in OPERATIONS.values():
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "path":
                assert parameter["description"]
                assert parameter["schema"]["examples"]
                assert not parameter.keys() & {"example", "examples"}


def test_submissions_are_a_union_by_task() -> None:
    """The body of POST /jobs is one of a shape for each task, told apart by `task`."""
    schema = submissions(DOCUMENT)["schema"]
    mapping = schema["discriminator"]["mapping"]
    assert schema["discriminator"]["propertyName"] == "task"
    *shapes, copy = [each["$ref"] for each in schema["oneOf"]]
    assert (shapes, copy) == (list(mapping.values()), "#/components/schemas/SubmitCopy")
    assert mapping["check_links"] == "#/components/schemas/SubmitCheckLinks"
    for name, reference in mapping.items():
        shape = DOCUMENT["components"]["schemas"][reference.rsplit("/", 1)[-1]]
        assert shape["properties"]["task"]["const"] == name


def test_submissions_have_an_example_for_each_task() -> None:
    """The examples stand in the operation under their tasks' names, and fit the schema."""
    media = submissions(DOCUMENT)
    assert media["examples"].keys() == media["schema"]["discriminator"]["mapping"].keys()
    for name, example in media["examples"].items():
        assert example["value"]["task"] == name
        Contract(DOCUMENT).require_valid(example["value"], media["schema"])


def test_an_accepted_job_links_to_what_follows() -> None:
    """The 202 of POST /jobs leads to the job, its result and its cancel."""
    links = DOCUMENT["paths"]["/jobs"]["post"]["responses"]["202"]["links"]
    assert {link["operationId"] for link in links.values()} == {
        "get_job",
        "get_result",
        "cancel_job",
    }


def test_components_read_well() -> None:
    """Components are named as classes are, and have that name as their title."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*(_[A-Z][A-Za-z0-9]*)?", name)
        assert schema.get("title", name) == name


def test_every_reference_leads_somewhere() -> None:
    """Each `$ref` of the document is one of its components."""
    for reference in re.findall(r'"#/components/(.+?)"', json.dumps(DOCUMENT)):
        kind, name = reference.split("/")
        assert name in DOCUMENT["components"][kind]


class Cat(BaseModel):
    """A pet."""

    kind: Literal["cat"]
    friends: list["Cat"] = []


class Dog(BaseModel):
    """Another."""

    kind: Literal["dog"]


def test_models_of_params_are_components() -> None:
    """Models, unions and recursion in params become components of the task's own."""

    @task(name="feed.pet")
    async def feed(pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None:
        """Feeds a pet."""

    document = document_of(feed)
    schemas = document["components"]["schemas"]
    assert {"FeedPetParams", "FeedPet_Cat", "FeedPet_Dog", "SubmitFeedPet"} <= schemas.keys()
    mapping = schemas["FeedPetParams"]["properties"]["pet"]["discriminator"]["mapping"]
    assert mapping["cat"] == "#/components/schemas/FeedPet_Cat"
    media = submissions(document)
    assert media["examples"]["feed.pet"]["value"]["params"] == {"pet": {"kind": "cat"}}
    Contract(document).require_valid(media["examples"]["feed.pet"]["value"], media["schema"])


def test_tasks_with_nearly_the_same_name_stay_apart() -> None:
    """Two tasks whose names differ in punctuation only have shapes of their own."""

    @task(name="tidy_up")
    async def first(room: str) -> None:
        """Tidies a room."""

    @task(name="tidy-up")
    async def second(desk: int) -> None:
        """Tidies a desk."""

    schemas = document_of(first, second)["components"]["schemas"]
    assert schemas["TidyUpParams"]["required"] == ["room"]
    assert schemas["TidyUp2Params"]["required"] == ["desk"]


def test_without_tasks_there_is_one_shape() -> None:
    """A service without tasks documents what any submission looks like."""
    document = document_of()
    assert submissions(document)["schema"] == {"$ref": "#/components/schemas/SubmitCopy"}
    assert "SubmitCopy" in document["components"]["schemas"]
