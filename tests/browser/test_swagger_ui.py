import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from playwright.sync_api import Locator, expect

from app.api import docs
from app.keys import KeyFile
from tests.support.browser import Visit
from tests.support.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def endless() -> Iterator[str]:
    """The address of an app that has Swagger UI and a stream that never ends."""
    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(docs.router)
    app.get("/events", tags=["events"], operation_id="get_events")(stream_without_end)
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


async def stream_without_end() -> StreamingResponse:
    """One event, and no end."""

    async def events() -> AsyncIterator[str]:
        yield "event: status\ndata: the first of many\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(events(), media_type="text/event-stream")


def execute(operation: Locator) -> Locator:
    """Press the button; returns the section where the answer appears."""
    operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table .response")


def test_every_example_is_accepted(server: Server, visit: Callable[[str], Visit]) -> None:
    """POST /jobs has a drop-down with an example for each task; executed as it is, each is 202."""
    tasks = [task["name"] for task in server.client.get("/tasks").json()["items"]]
    submit = visit(server.url).operation("jobs", "submit_job")
    body = submit.locator(".opblock-section-request-body")
    examples = body.locator("select.examples-select-element")
    expect(examples.locator("option")).to_have_count(len(tasks))
    for task in tasks:
        examples.select_option(task)
        expect(body.locator("textarea")).to_have_value(re.compile(f'"task": "{task}"'))
        answer = execute(submit)
        expect(answer.locator(".highlight-code")).to_contain_text(f'"task": "{task}"')
        expect(answer.locator(".response-col_status")).to_have_text("202")


def test_webhooks_are_shown(server: Server, visit: Callable[[str], Visit]) -> None:
    """What webhooks tell is described, with an example of each event."""
    page = visit(server.url).page
    page.goto(f"{server.url}/docs")
    told = page.locator(".webhooks .opblock")
    expect(told).to_have_count(3)
    told.filter(has_text="job.failed").locator(".opblock-summary").click()
    expect(told.locator(".highlight-code")).to_contain_text('"type": "job.failed"')


def test_colours_follow_the_system(server: Server, visit: Callable[[str], Visit]) -> None:
    """The page is dark when the system is, and turns light with it."""
    page = visit(server.url).page
    page.emulate_media(color_scheme="dark")
    page.goto(f"{server.url}/docs")
    expect(page.locator("html")).to_have_class("dark-mode")
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class("dark-mode")


def test_endless_streams_show_their_beginning(endless: str, visit: Callable[[str], Visit]) -> None:
    """An executed stream that never ends shows what it sent in its first seconds."""
    answer = execute(visit(endless).operation("events", "get_events"))
    expect(answer.locator(".highlight-code")).to_contain_text("the first of many", timeout=10_000)


def test_authorize(
    start_server: Callable[..., Server], tmp_path: Path, visit: Callable[[str], Visit]
) -> None:
    """With a key in Authorize every operation is asked with it, streams too."""
    key = KeyFile(tmp_path / "data").add("anna")
    server = start_server()
    look = visit(server.url)
    listing = look.operation("jobs", "list_jobs")
    look.page.locator(".auth-wrapper .authorize").click()
    dialog = look.page.locator(".auth-container")
    dialog.locator("input").fill(key)
    dialog.get_by_role("button", name="Apply credentials").click()
    look.page.locator(".btn-done").click()
    expect(execute(listing).locator(".response-col_status")).to_have_text("200")
    look.page.locator("#operations-jobs-list_jobs .opblock-summary").first.click()
    stream = look.page.locator("#operations-events-get_events")
    stream.locator(".opblock-summary").click()
    answer = execute(stream)
    expect(answer.locator(".response-col_status")).to_have_text("200", timeout=10_000)
    expect(answer.locator(".highlight-code")).to_contain_text("id:")
