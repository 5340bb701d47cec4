import httpx
import pytest

from tests.support.server import Server


def test_every_task_is_listed(client: httpx.Client) -> None:
    """The list has every task with its documentation, schemas, example and limits."""
    items = client.get("/tasks").json()["items"]
    by_name = {item["name"]: item for item in items}
    assert {"sleep", "echo", "fail", "count_primes", "check_links", "place_order"} <= set(by_name)
    for item in items:
        assert item.keys() == {
            "name", "summary", "description", "params_schema", "result_schema", "example",
            "timeout", "max_attempts", "max_running", "priority", "figures",
        }  # fmt: skip
        assert item["summary"]
        assert item["description"].startswith(item["summary"])


def test_one_task_is_as_in_the_list(client: httpx.Client) -> None:
    """A task by itself is what the list says of it."""
    for item in client.get("/tasks").json()["items"]:
        answer = client.get(f"/tasks/{item['name']}")
        assert (answer.status_code, answer.json()) == (200, item)


def test_options_are_shown(client: httpx.Client) -> None:
    """The limits of a task are those that it was given."""
    waiting = client.get("/tasks/wait_for_file").json()
    assert (waiting["timeout"], waiting["max_attempts"], waiting["max_running"]) == (60, 1, None)
    assert client.get("/tasks/wait_in_first_attempt").json()["max_attempts"] == 2
    assert client.get("/tasks/one_at_a_time").json()["max_running"] == 1


def test_schemas_are_json_schemas(client: httpx.Client) -> None:
    """Params and result are described by JSON Schemas, with models defined inside."""
    task = client.get("/tasks/place_order").json()
    params = task["params_schema"]
    assert params["additionalProperties"] is False
    assert params["required"] == ["order"]
    assert params["properties"]["order"] == {"$ref": "#/$defs/Order"}
    assert params["$defs"]["Order"]["properties"]["count"]["exclusiveMinimum"] == 0
    assert task["result_schema"]["properties"].keys() == {"item", "count"}


def test_the_context_is_no_param(client: httpx.Client) -> None:
    """The parameter that takes the job's context is not shown."""
    assert client.get("/tasks/report_progress").json()["params_schema"]["required"] == ["path"]


def test_every_example_is_accepted(client: httpx.Client, server: Server) -> None:
    """Each task's example can be submitted as it is."""
    for task in client.get("/tasks").json()["items"]:
        body = {"task": task["name"], "params": task["example"], "delay": 3600}
        assert client.post("/jobs", json=body).status_code == 202, task["name"]


@pytest.mark.parametrize("name", ["none", "Sleep", "%00", "sleep/", "a%2Fb", "x" * 5_000])
def test_an_unknown_task_is_404(client: httpx.Client, name: str) -> None:
    """A task that is not there is `not-found`."""
    answer = client.get(f"/tasks/{name}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


def test_unknown_query_names_are_400(client: httpx.Client) -> None:
    """Tasks know no query parameters."""
    for path in ("/tasks?limit=1", "/tasks/sleep?full"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-parameter")
