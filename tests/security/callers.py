"""A server that asks for keys, and callers with every kind of key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.keys import ADMIN, CANCEL, READ, SUBMIT, KeyFile
from tests.support.contract import Contract
from tests.support.server import Server, once_running

TASKS = "app.tasks,tests.support.tasks_for_tests"

SCOPES: Mapping[str, tuple[str, ...]] = {
    "all": (SUBMIT, READ, CANCEL),
    "submitter": (SUBMIT,),
    "sleeper": ("submit:sleep",),
    "reader": (READ,),
    "canceller": (CANCEL,),
    "admin": (ADMIN,),
}
"""A key of each kind, each owner having all of them."""


@dataclass
class Callers:
    """Clients by owner and kind of key; every answer is judged by the server's document."""

    server: Server
    contract: Contract = field(init=False)
    clients: dict[tuple[str, str], httpx.Client] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.contract = Contract(self.server.client.get("/openapi.json").json())

    def __call__(self, owner: str, kind: str = "all") -> httpx.Client:
        """A client of an owner with a key of a kind; without a key, of nobody."""
        if (owner, kind) not in self.clients:
            folder = self.server.folder / "data"
            key = KeyFile(folder).add(owner, SCOPES[kind]) if owner else ""
            self.clients[owner, kind] = self.client(
                {"Authorization": f"Bearer {key}"} if key else {}
            )
        return self.clients[owner, kind]

    def client(self, headers: Mapping[str, str]) -> httpx.Client:
        """A client that sends these headers."""
        return httpx.Client(
            base_url=self.server.url,
            headers=dict(headers),
            timeout=30,
            verify=False,
            event_hooks={"response": [self.contract.check]},
        )

    def close(self) -> None:
        for client in self.clients.values():
            client.close()


def submit(client: httpx.Client, task: str = "never_end", **members: Any) -> Any:
    """A job that is accepted."""
    answer = client.post("/jobs", json={"task": task, **members})
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def running(client: httpx.Client, task: str = "never_end", **members: Any) -> Any:
    """A job that runs."""
    return once_running(client, submit(client, task, **members))
