"""No secret of a job is in anything that the server says, writes down for long, or logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.contract import Contract
from tests.support.secret_tasks import CANARY, digest
from tests.support.server import Server
from tests.support.sse import events_of

TASKS = "app.tasks,tests.support.secret_tasks"

PASSWORD, PIN, KEY = f"{CANARY}-password", f"{CANARY}-pin", f"{CANARY}-key"
PARAMS = {"login": {"user": "u", "password": PASSWORD}, "pin": PIN, "keys": {"a": KEY}}
SHOWN = {
    "login": {"user": "u", "password": "**********"},
    "pin": "**********",
    "keys": {"a": "**********"},
}
RESULT = digest(PASSWORD, PIN, KEY)


@dataclass
class Service:
    """A server of which everything it answers is kept."""

    server: Server
    said: list[str] = field(default_factory=list)
    contract: Contract | None = None

    def listen(self) -> None:
        """Keep and judge every answer from now on, and let everything be logged."""
        assert self.contract is not None
        self.server.client.event_hooks = {"response": [self.hear, self.contract.check]}
        self.post({"task": "log_everything"}, Prefer="wait=10")

    def hear(self, response: httpx.Response) -> None:
        """Keep an answer, unless it is a stream."""
        self.said.append(str(response.headers.multi_items()))
        if "event-stream" not in response.headers.get("content-type", ""):
            self.said.append(response.read().decode())

    def post(self, body: Any, **headers: str) -> httpx.Response:
        """Submit; the names of headers are written with underscores."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.client.post("/jobs", json=body, headers=given)

    def sign_in(self, /, *, wait: int = 0, **params: Any) -> Any:
        """A job with secrets."""
        answer = self.post({"task": "sign_in", "params": PARAMS | params}, Prefer=f"wait={wait}")
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        """What a path answers with success, as text or JSON."""
        answer = self.server.client.get(path)
        assert answer.is_success, answer.text
        is_json = answer.headers["content-type"] == "application/json"
        return answer.json() if is_json else answer.text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server that logs everything; in its log and its data directory no secret is left."""
    folder = tmp_path_factory.mktemp("secrets")
    settings = {"AWAITD_TASKS": TASKS, "AWAITD_SHUTDOWN_GRACE": "0", "AWAITD_ACCESS_LOG": "true"}
    with Server(folder, **settings) as server:
        service = Service(server)
        service.contract = Contract(server.client.get("/openapi.json").json())
        service.listen()
        yield service
        server.terminate()
        assert "everything is logged" in server.log
        assert CANARY not in server.log + server.announced + server.output
        files = [path for path in (folder / "data").rglob("*") if path.is_file()]
        assert [path.name for path in files if CANARY.encode() in path.read_bytes()] == []


@pytest.fixture(autouse=True)
def nothing_said(service: Service) -> Iterator[None]:
    """No answer of a test has a secret."""
    service.said.clear()
    yield
    assert service.said
    assert [text for text in service.said if CANARY in text] == []


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that jobs wait for."""
    return tmp_path / "gate"


def test_every_view_of_a_job(service: Service, gate: Path) -> None:
    """Its coroutine gets the secrets; submission, job, lists, streams and cancel show asterisks."""
    job = service.sign_in(gate=str(gate))
    path = job["links"]["self"]
    assert job["params"] == SHOWN | {"gate": str(gate)}
    for view in (path, "/jobs", f"{path}/logs", f"{path}/stack", "/stats", "/readyz"):
        service.get(view)
    with service.server.client.stream("GET", f"{path}/events") as stream:
        gate.touch()
        events = list(events_of(stream))
    assert {"done", "log"} <= {event.kind for event in events}
    service.said.append(repr(events))
    assert service.get(f"{path}/result") == RESULT
    ended = service.server.client.delete(path).json()
    assert (ended["params"], ended["status"]) == (job["params"], "completed")
    query = {"status": "completed"}
    with service.server.client.stream("GET", "/events", params=query) as stream:
        service.sign_in(wait=10)
        service.said.append(repr(next(event for event in events_of(stream) if event.data)))


def test_a_repeated_submission(service: Service) -> None:
    """Neither the same submission again, nor another with its key, is told anything."""
    body = {"task": "sign_in", "params": PARAMS, "delay": 3600}
    first = service.post(body, Idempotency_Key="k")
    again = service.post(body, Idempotency_Key="k")
    assert again.headers["idempotent-replayed"] == "true"
    other = service.post(body | {"params": {**PARAMS, "pin": f"{PIN}2"}}, Idempotency_Key="k")
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert service.server.client.delete(first.headers["location"]).status_code == 200


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        (PARAMS | {"pin": PIN * 5}, "/params/pin"),
        (PARAMS | {"pin": [PIN]}, "/params/pin"),
        (PARAMS | {"login": PASSWORD}, "/params/login"),
        (PARAMS | {"login": {"user": "u", "password": {"a": PASSWORD}}}, "/params/login/password"),
        (PARAMS | {"keys": {"a": [KEY]}}, "/params/keys/a"),
        (PARAMS | {"keys": [KEY]}, "/params/keys"),
        (PARAMS | {"pim": PIN}, "/params/pim"),
        ([PARAMS], "/params"),
        (PASSWORD, "/params"),
    ],
)
@pytest.mark.parametrize("query", ["", "?validate_only=true"])
def test_params_that_do_not_fit(service: Service, params: Any, pointer: str, query: str) -> None:
    """What is wrong with a secret is said with its place, and without it."""
    body = {"task": "sign_in", "params": params}
    answer = service.server.client.post(f"/jobs{query}", json=body)
    assert answer.json()["type"] == "/problems/invalid-params"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize("end", [',"labels":5}', ',"task":"x"}', ',"delay":1e999}', "", "}}"])
def test_a_broken_envelope(service: Service, end: str) -> None:
    """A body that is refused for something else is not repeated either."""
    body = f'{{"task":"sign_in","params":{json.dumps(PARAMS)}{end}'
    headers = {"Content-Type": "application/json"}
    assert service.server.client.post("/jobs", content=body, headers=headers).is_client_error


def test_copies(service: Service) -> None:
    """A copy has the secrets until the job has ended; then it is told which to send again."""
    source = service.post({"task": "sign_in", "params": PARAMS, "delay": 3600}).json()
    again = {"copy_of": source["id"], "delay": 0}
    assert service.post(again, Prefer="wait=10").json()["result"] == RESULT
    echo = service.post(again | {"task": "echo"})
    service.server.client.delete(source["links"]["self"])
    for answer in (echo, service.post(again)):
        assert answer.status_code == 422
        errors = {error["pointer"]: error["code"] for error in answer.json()["errors"]}
        assert errors == dict.fromkeys(
            ("/params/login/password", "/params/pin", "/params/keys/a"), "secret_gone"
        )
    assert service.post(again | {"params": PARAMS}, Prefer="wait=10").json()["result"] == RESULT


def test_what_can_be_run(service: Service) -> None:
    """Examples and defaults of secrets are asterisks in every description of a task."""
    tasks = {item["name"]: item for item in service.get("/tasks")["items"]}
    task = service.get("/tasks/sign_in")
    assert task["example"] == {"login": SHOWN["login"], "pin": "**********"}
    assert task["params_schema"]["properties"]["pin"]["default"] == "**********"
    assert tasks["sign_in"]["params_schema"] == task["params_schema"]
    assert tasks["give_back"]["example"]["login"]["password"] == "**********"
    document = service.get("/openapi.json")
    schema = document["components"]["schemas"]["SignInParams"]["properties"]["pin"]
    assert schema["writeOnly"] is True
    service.get("/docs")


def test_an_exception(service: Service) -> None:
    """What a coroutine says of its params, when it fails or in its log, has asterisks."""
    job = service.sign_in(fail=True, wait=10)
    assert "password=SecretStr('**********')" in job["error"]["message"]
    assert "password=SecretStr('**********')" in service.server.log


def test_a_result(service: Service) -> None:
    """A secret in a result of its own type is masked, and the result fits what is declared."""
    body = {"task": "give_back", "params": {"login": PARAMS["login"]}}
    job = service.post(body, Prefer="wait=10").json()
    assert (job["status"], job["result"]) == ("completed", SHOWN["login"])


def test_a_crash(service: Service, gate: Path) -> None:
    """After a kill the next attempt has the secrets, and after its end the files have not."""
    running = service.sign_in(gate=str(gate))
    waiting = service.post({"task": "sign_in", "params": PARAMS, "delay": 1}).json()
    service.server.kill()
    gate.touch()
    service.server.start()
    service.listen()
    for job in (running, waiting):
        ended = service.server.job(job["id"], wait=10)
        assert (ended["status"], ended["result"]) == ("completed", RESULT)
    assert service.server.job(running["id"])["attempt"] == 2
