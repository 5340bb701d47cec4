"""The link checker: reads a web site page by page and reports the links that lead nowhere."""

import asyncio
from http.cookiejar import DefaultCookiePolicy
from typing import Annotated, Final

import httpx
from pydantic import Field, HttpUrl

from app.jobs import JobContext, task
from app.outbound import OutboundRefused, outbound_client
from app.tasks.crawl import Crawl
from app.tasks.link_report import LinkReport
from app.tasks.page import Answer, Link, ask, link_to

_PAGE_TIME: Final = 20.0


class SiteUnreachable(Exception):
    """Raised when the first page does not answer at all: worth another attempt."""


@task(
    timeout=600,
    retries=2,
    retry_on=SiteUnreachable,
    example={"url": "https://example.org/", "max_pages": 20},
)
async def check_links(
    url: Annotated[HttpUrl, Field(description="The page to begin with.")],
    max_pages: Annotated[
        int, Field(ge=1, le=1000, description="Ask for so many addresses at most.")
    ] = 50,
    max_concurrency: Annotated[
        int, Field(ge=1, le=32, description="Ask for so many at a time.")
    ] = 8,
    *,
    job: JobContext,
) -> LinkReport:
    """Checks the links of a web site and reports those that lead nowhere.

    Begins with one page and follows its links to other pages of the same site: same scheme, host
    and port. A link is broken when its address answers with an error or not at all, or when it
    names a place on a page (`#like-this`) that the page does not have. Links to other hosts are
    counted, not visited, and a redirect to another host is reported, not followed.

    Cancelled, or nearly out of time, it returns what it has found so far, with `complete` false.
    Fails when the first page does not answer. Pages in a private network are refused unless the
    operator has allowed their host.
    """
    crawl = Crawl(_start(url), max_pages)
    try:
        async with asyncio.timeout(_most_of(job.remaining)):
            await _crawl(crawl, max_concurrency, job)
    except TimeoutError:
        job.log("out of time: this is the report so far")
    except asyncio.CancelledError:  # being cancelled is no reason to lose what was found
        job.log("cancelled: this is the report so far")
    return crawl.report()


def _start(url: HttpUrl) -> Link:
    link = link_to(str(url), str(url), {})
    assert link is not None  # an HttpUrl is of the web
    return link


def _most_of(remaining: float | None) -> float | None:
    """Leaves a tenth of the time to end in."""
    return None if remaining is None else remaining * 0.9


async def _crawl(crawl: Crawl, at_once: int, job: JobContext) -> None:
    async with outbound_client(
        timeout=_PAGE_TIME, headers={"Accept-Encoding": "gzip"}, max_connections=at_once
    ) as client:
        # Cookies would tie the pages together, and a page could send any number of them.
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        start = crawl.todo.popleft()
        await _record(crawl, start, await _first_answer(client, start), job)
        async with asyncio.TaskGroup() as group:
            visits: set[asyncio.Task[tuple[str, Answer]]] = set()
            while crawl.todo or visits:
                while crawl.todo and len(visits) < at_once:
                    visits.add(group.create_task(_visit(client, crawl.todo.popleft())))
                done, visits = await asyncio.wait(visits, return_when=asyncio.FIRST_COMPLETED)
                for visit in done:
                    await _record(crawl, *visit.result(), job)


async def _record(crawl: Crawl, url: str, answer: Answer, job: JobContext) -> None:
    crawl.record(url, answer)
    while crawl.unsettled:
        for broken in crawl.settle():
            job.log(f"{broken.page}: {broken.link}: {broken.reason}")
        await asyncio.sleep(0)
    message = f"{crawl.answered} of {crawl.known} pages"
    job.progress(crawl.answered / crawl.known, message)


async def _first_answer(client: httpx.AsyncClient, url: str) -> Answer:
    try:
        return await ask(client, url, _PAGE_TIME)
    except OutboundRefused:
        raise
    except (TimeoutError, httpx.TransportError) as error:
        raise SiteUnreachable(f"{url} does not answer: {_said(error)}") from error


async def _visit(client: httpx.AsyncClient, url: str) -> tuple[str, Answer]:
    try:
        return url, await ask(client, url, _PAGE_TIME)
    except (TimeoutError, httpx.TransportError) as error:
        return url, Answer(problem=f"does not answer: {_said(error)}")


def _said(error: Exception) -> str:
    """What an error says of itself, some of which say nothing."""
    return f"{type(error).__name__}: {error}"[:200].removesuffix(": ")
