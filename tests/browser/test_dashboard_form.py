"""Forms made from JSON Schemas, and what becomes of what is typed into them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import Visit
from tests.support.server import Server

pytestmark = pytest.mark.browser

Begin = Callable[[str], Visit]

SECRET = "swordfish-7f3a"


def form_of(visit: Visit, task: str, **query: str) -> Page:
    """The page with the form of a task."""
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    visit.page.goto(f"{visit.host}/#/tasks/{task}?{asked}")
    expect(visit.page.get_by_role("heading", name="Submit a job")).to_be_visible()
    return visit.page


def field(page: Page, pointer: str) -> Locator:
    """The input of what a JSON pointer leads to."""
    return page.locator(f'[id="field{pointer}"]')


def submitted(page: Page, server: Server) -> Any:
    """Submit the form, and wait for the job."""
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(re.compile(r"#/jobs/[0-9a-f-]{36}$"))
    return server.job(page.url.rpartition("/")[2], wait=20)


def test_every_kind_of_field_is_submitted_as_typed(dashboard: Server, visit: Begin) -> None:
    """Texts, choices, numbers, lists, names with values, unions and what contains itself."""
    page = form_of(visit(dashboard.url), "place_order")
    field(page, "/params/customer").fill("Grace\nHopper")
    field(page, "/params/size").select_option("large")
    for name in ("counts", "weights", "pet", "tree"):
        page.get_by_label(f"Send {name}").check()
    for index, number in enumerate(["7", "9007199254740993"]):
        page.get_by_role("button", name="Add an item to counts").click()
        field(page, f"/params/counts/{index}").fill(number)
    page.get_by_role("button", name="Add a name to weights").click()
    page.get_by_label("Name 1 in weights").fill("a/b")
    field(page, "/params/weights/a.126.1b").fill("1.50")
    page.get_by_label("Kind of pet").select_option("Dog")
    field(page, "/params/pet/is_good").select_option("false")
    field(page, "/params/tree/name").fill("root")
    page.get_by_label("Send children").check()
    page.get_by_role("button", name="Add an item to children").click()
    field(page, "/params/tree/children/0/name").fill("leaf")
    page.get_by_text("When and how it runs").click()
    page.get_by_label("Send labels").check()
    page.get_by_role("button", name="Add a name to labels").click()
    page.get_by_label("Name 1 in labels").fill("order")
    field(page, "/labels/order").fill("42")
    field(page, "/priority").fill("3")
    job = submitted(page, dashboard)
    assert job["status"] == "completed"
    assert (job["labels"], job["priority"]) == ({"order": "42"}, 3)
    assert job["params"] == {
        "customer": "Grace\nHopper",
        "address": {"street": "Main 1"},
        "size": "large",
        "counts": [7, 9007199254740993],
        "pet": {"kind": "dog", "is_good": False},
        "weights": {"a/b": 1.5},
        "tree": {"name": "root", "children": [{"name": "leaf"}]},
    }


def test_what_the_server_refuses_is_said_at_its_field(dashboard: Server, visit: Begin) -> None:
    """Each problem stands at the innermost field that its pointer leads to, and takes the focus."""
    look = visit(dashboard.url)
    look.expected = ("422",)
    page = form_of(look, "place_order")
    field(page, "/params/customer").fill("")
    field(page, "/params/address/street").fill("x")
    page.get_by_label("Send counts").check()
    page.get_by_role("button", name="Add an item to counts").click()
    field(page, "/params/counts/0").fill("many")
    page.get_by_text("When and how it runs").click()
    field(page, "/run_at").fill("tomorrow")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(field(page, "/run_at")).to_have_attribute("aria-invalid", "true")
    field(page, "/run_at").press("Control+a")
    page.get_by_label("Send run_at").uncheck()
    page.get_by_role("button", name="Submit", exact=True).click()
    for pointer, text in (
        ("/params/customer", "at least 2"),
        ("/params/address/street", "at least 3"),
        ("/params/counts/0", "valid integer"),
    ):
        wrong = field(page, pointer)
        expect(wrong).to_have_attribute("aria-invalid", "true")
        note = page.locator(f'[id="field{pointer}-error"]')
        expect(note).to_contain_text(text)
        assert (wrong.get_attribute("aria-describedby") or "").endswith(f"{pointer}-error")
    expect(field(page, "/params/size")).not_to_have_attribute("aria-invalid", "true")
    expect(field(page, "/params/customer")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("3 things to mend")
    field(page, "/params/customer").fill("Anna")
    field(page, "/params/address/street").fill("Main 2")
    field(page, "/params/counts/0").fill("5")
    page.get_by_role("button", name="Check only").click()
    expect(page.get_by_text("It would be accepted as it stands.")).to_be_visible()
    expect(page.locator("[aria-invalid=true]")).to_have_count(0)
    assert submitted(page, dashboard)["result"] == {"customer": "Anna", "counts": 5}


def test_params_can_be_typed_as_json(dashboard: Server, visit: Begin) -> None:
    """The fields turn into JSON and back, with numbers as they were typed; bad JSON is refused."""
    look = visit(dashboard.url)
    page = form_of(look, "give_back")
    value = field(page, "/params/value")
    value.fill("{no}")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator('[id="field/params/value-error"]')).to_contain_text("this is no JSON")
    value.fill('{"big": 123456789012345678901234567890, "one": 1.0, "text": "\\u0000 \\" [1e400]"}')
    page.get_by_role("button", name="As JSON").click()
    expect(field(page, "/params")).to_have_value(re.compile("123456789012345678901234567890"))
    page.get_by_role("button", name="As JSON").click()
    expect(field(page, "/params/value")).to_have_value(re.compile("123456789012345678901234567890"))
    look.expected = ("422", "400")  # more than 64 bits
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator(".problem")).to_be_visible()
    numbers = r'{"big":9223372036854775807,"one":1.0,"q\\\"":"\\","small":-0.0,"e":1e-7}'
    field(page, "/params/value").fill(numbers)
    job = submitted(page, dashboard)
    assert (
        f'"value":{numbers}'.replace("1e-7", "1e-07")
        in dashboard.client.get(f"/jobs/{job['id']}").text
    )
    for what in ("params", "result"):
        expect(page.get_by_role("region", name=what)).to_contain_text("9223372036854775807")
        expect(page.get_by_role("region", name=what)).to_contain_text('"one": 1.0')


def test_a_job_is_edited_and_run_again(dashboard: Server, visit: Begin) -> None:
    """The form begins with what the job was given, and submits what it was changed to."""
    params = {"customer": "Ida", "address": {"street": "Elm 7"}, "size": "large", "counts": [2**53]}
    body = {"task": "place_order", "params": params, "labels": {"order": "43"}, "priority": 2}
    first = dashboard.client.post("/jobs", json=body).json()
    page = visit(dashboard.url).page
    page.goto(f"{dashboard.url}/#/jobs/{first['id']}")
    page.get_by_role("link", name="Edit and run again").click()
    expect(field(page, "/params/counts/0")).to_have_value(str(2**53))
    field(page, "/params/customer").fill("Joan")
    job = submitted(page, dashboard)
    assert job["id"] != first["id"]
    assert job["params"] == params | {"customer": "Joan"}
    assert (job["labels"], job["priority"]) == ({"order": "43"}, 2)


def test_secrets_are_typed_again_and_never_shown(dashboard: Server, visit: Begin) -> None:
    """A secret is in no page, also not in the form of its job; without it nothing is sent."""
    look = visit(dashboard.url)
    page = form_of(look, "sign_in")
    field(page, "/params/user").fill("anna")
    field(page, "/params/password").fill(SECRET)
    field(page, "/params/pin").fill(SECRET)
    assert field(page, "/params/password").get_attribute("type") == "password"
    page.get_by_role("button", name="As JSON").click()
    assert SECRET not in field(page, "/params").input_value()
    page.get_by_role("button", name="As JSON").click()
    field(page, "/params/password").fill(SECRET)
    field(page, "/params/pin").fill(SECRET)
    first = submitted(page, dashboard)
    assert first["result"] == 2 * len(SECRET)
    expect(page.get_by_role("region", name="params")).to_contain_text("**********")
    assert SECRET not in page.content()
    look.expected = ("422",)
    page.get_by_role("button", name="Run again", exact=True).click()
    gone = page.get_by_text("/params/password is no longer known")
    gone.get_by_role("link").click()
    for name in ("password", "pin"):
        expect(field(page, f"/params/{name}")).to_have_value("")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.locator('[id="field/params/pin-error"]')).to_contain_text("type it")
    field(page, "/params/password").fill("another")
    page.get_by_label("Send pin").uncheck()
    assert submitted(page, dashboard)["result"] == len("another") + len("none")
