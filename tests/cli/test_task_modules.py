from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import Server

TASKS = '''
from prices import VAT

from app.jobs import JobContext, task


@task(timeout=5, retries=1, example={"net": 100})
async def gross(net: float, *, job: JobContext) -> float:
    """Adds the tax.

    What a shop shows its customers.
    """
    job.progress(1.0)
    return net * VAT


async def not_marked(net: float) -> float:
    return net


@task(name="shop.echo")
async def echo(value: str) -> str:
    return value
'''


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of a team's own, with a package of tasks and what it imports."""
    folder = tmp_path / "shop"
    package = folder / "shop_tasks"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "billing.py").write_text(TASKS)
    (package / "prices.py").write_text("VAT = 1.25\n")
    (folder / "prices.py").write_text("VAT = 1.25\n")
    return folder


def test_a_module_by_its_dotted_name(start_server: Callable[..., Server], shop: Path) -> None:
    """A module in the working directory is found by its dotted name, with what it imports."""
    server = start_server(shop, AWAITD_TASKS="shop_tasks.billing")
    items = {item["name"]: item for item in server.client.get("/tasks").json()["items"]}
    assert items.keys() == {"gross", "shop.echo"}
    assert items["gross"]["summary"] == "Adds the tax."
    assert items["gross"]["example"] == {"net": 100}
    job = server.submit("gross", net=80, headers={"Prefer": "wait=10"})
    assert (job["result"], job["timeout"], job["max_attempts"]) == (100.0, 5, 2)


def test_modules_by_path_and_name(
    start_server: Callable[..., Server], tmp_path: Path, shop: Path
) -> None:
    """Paths and names are separated by commas; a file finds what lies beside it."""
    path = (shop / "shop_tasks" / "billing.py").relative_to(tmp_path)
    server = start_server(AWAITD_TASKS=f" app.tasks , {path},")
    names = {item["name"] for item in server.client.get("/tasks").json()["items"]}
    assert {"sleep", "check_links", "gross", "shop.echo"} <= names
    assert server.submit("gross", net=80, headers={"Prefer": "wait=10"})["result"] == 100.0
    schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
    assert {"SubmitSleep", "SubmitGross", "SubmitShopEcho"} <= schemas.keys()
