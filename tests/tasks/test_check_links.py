import asyncio
import json
import socket
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import HttpUrl

import app.tasks
from app.jobs import JobContext
from app.jobs.registry import TaskRegistry
from app.outbound import OutboundRefused
from app.tasks.check_links import SiteUnreachable, check_links
from app.tasks.link_report import BrokenLink, LinkReport, PageReport, Redirect
from tests.outbound.loopback import allowing
from tests.tasks.calls import run
from tests.tasks.sink import RecordingSink
from tests.tasks.site import Site, files_in, html, response, site_of

DEBIAN_DOCS = Path("/usr/share/doc/python3/html")


async def checked(site: Site, job: JobContext, path: str = "/", **limits: int) -> LinkReport:
    """The report on a site."""
    async with site.listening():
        with allowing("127.0.0.1"):
            return await check_links(HttpUrl(site.url + path), **limits, job=job)


def at(site: Site, *paths: str) -> set[str]:
    """The addresses of these paths."""
    return {site.url + path for path in paths}


async def test_a_site_is_checked(job: JobContext, sink: RecordingSink) -> None:
    """The report has every page, what is broken and where, and the redirects."""
    site = site_of(
        {
            "/": html(
                "/a#here", "/a#gone", "b", "/old", "/out", "http://other.test/", "mailto:x@y.z"
            ),
            "/a": html("/", "/missing", "./b?q=1#x", rest="<p id=here>"),
            "/b": html("/b", "/a", "/dead"),
            "/b?q=1": html(rest="<a name=x>"),
            "/old": response("301 Moved Permanently", Location="/new"),
            "/new": html("/missing#x", "javascript:void(0)", "http://[::1"),
            "/out": response("302 Found", Location="http://other.test/there"),
            "/dead": b"what is this\r\n\r\n",
        }
    )
    report = await checked(site, job)
    assert {page.url for page in report.pages} == at(
        site, "/", "/a", "/b", "/b?q=1", "/new", "/missing", "/dead"
    )
    assert PageReport(url=site.url + "/", status=200, links=6) in report.pages
    assert {(b.page, b.link, b.status) for b in report.broken} == {
        (site.url + "/", site.url + "/a#gone", 200),
        (site.url + "/a", site.url + "/missing", 404),
        (site.url + "/new", site.url + "/missing", 404),
        (site.url + "/new", "http://[::1", None),
        (site.url + "/b", site.url + "/dead", None),
    }
    assert sorted(report.redirects, key=lambda redirect: redirect.status) == [
        Redirect(url=site.url + "/old", location=site.url + "/new", status=301),
        Redirect(url=site.url + "/out", location="http://other.test/there", status=302),
    ]
    assert (report.complete, report.broken_links, report.unchecked_links) == (True, 5, 0)
    assert report.external_links == 1
    assert sorted(site.asked) == sorted(set(site.asked))
    assert len(sink.lines) == 5


async def test_progress_is_shown_page_by_page(job: JobContext, sink: RecordingSink) -> None:
    """Each page that is done moves the progress, which ends at the whole."""
    await checked(site_of({"/": html("/a", "/b"), "/a": html(), "/b": html()}), job)
    assert sink.messages == ["1 of 3 pages", "2 of 3 pages", "3 of 3 pages"]
    assert sink.fractions == [1 / 3, 2 / 3, 1]


async def test_a_cancelled_check_returns_its_report_so_far(
    job: JobContext, sink: RecordingSink
) -> None:
    """What was found before the cancel is in the report; nothing of the crawl stays behind."""
    before = asyncio.all_tasks()
    site = site_of({"/": html("/gone", "/slow1", "/slow2")}, "/slow1", "/slow2")
    async with site.listening():
        with allowing("127.0.0.1"):
            checking = asyncio.create_task(check_links(HttpUrl(site.url), job=job))
        await site.have_waiting(2)
        await sink.shows("2 of 4 pages")
        checking.cancel()
        report = await checking
        assert asyncio.all_tasks() - site.visitors == before
    assert not report.complete
    assert {page.url for page in report.pages} == at(site, "/", "/gone")
    assert [b.link for b in report.broken] == [site.url + "/gone"]
    assert report.unchecked_links == 2
    assert sink.lines[-1] == "cancelled: this is the report so far"


async def test_a_check_cancelled_at_once_has_an_empty_report(job: JobContext) -> None:
    """A cancel that comes before the first page finds nothing, which is no error."""
    site = site_of({"/": html()}, "/")
    async with site.listening():
        with allowing("127.0.0.1"):
            checking = asyncio.create_task(check_links(HttpUrl(site.url), job=job))
        await site.have_waiting(1)
        checking.cancel()
        report = await checking
    assert (report.complete, report.pages, report.unchecked_links) == (False, [], 1)


async def test_a_check_that_runs_out_of_time_returns_its_report_so_far(sink: RecordingSink) -> None:
    """It ends a little before its timeout, which would leave no report."""
    job = JobContext(UUID(int=1), 1, {}, sink, timeout=1)
    site = site_of({"/": html("/slow")}, "/slow")
    report = await checked(site, job)
    assert (report.complete, len(report.pages), report.unchecked_links) == (False, 1, 1)
    assert sink.lines == ["out of time: this is the report so far"]


async def test_so_many_at_a_time_are_asked_for(job: JobContext) -> None:
    """`max_concurrency` pages are under way at once when there are as many, never more."""
    paths = [f"/{number}" for number in range(10)]
    site = site_of({"/": html(*paths), **dict.fromkeys(paths, html())}, *paths)
    async with site.listening():
        with allowing("127.0.0.1"):
            checking = asyncio.create_task(
                check_links(HttpUrl(site.url), max_concurrency=3, job=job)
            )
        await site.have_waiting(3)
        assert len(site.heads) == 4
        site.release.set()
        assert (await checking).complete


async def test_no_more_than_max_pages_are_asked_for(job: JobContext) -> None:
    """A site without end is left at the limit."""
    site = Site(lambda path: html(path + "a", path + "b"))
    report = await checked(site, job, max_pages=7)
    assert (len(site.heads), len(report.pages), report.complete) == (7, 7, False)
    assert report.unchecked_links > 0


async def test_the_first_page_is_a_link_too(job: JobContext) -> None:
    """An address that is broken itself is reported as a broken link."""
    site = site_of({})
    report = await checked(site, job, "/nothing")
    address = site.url + "/nothing"
    assert report.broken == [BrokenLink(page=address, link=address, reason="Not Found", status=404)]


async def test_no_cookies_are_kept(job: JobContext) -> None:
    """Pages are asked for as by a first-time visitor, who says who is calling."""
    first = response("200 OK", "<a href=/a>", Content_Type="text/html", Set_Cookie="a=b")
    site = site_of({"/": first, "/a": html()})
    await checked(site, job)
    assert "cookie" not in site.heads[1].lower()
    assert "user-agent: awaitd\r\n" in site.heads[1].lower()


async def test_a_site_that_does_not_answer_is_an_error(job: JobContext) -> None:
    """Nobody at the first address is worth another attempt of the job."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with (
        allowing("127.0.0.1"),
        pytest.raises(SiteUnreachable, match="does not answer: ConnectError"),
    ):
        await check_links(HttpUrl(f"http://127.0.0.1:{port}/"), job=job)


async def test_a_private_site_is_refused(job: JobContext) -> None:
    """Without leave of the operator, the job fails with the name of the setting."""
    with pytest.raises(OutboundRefused, match="AWAITD_OUTBOUND_ALLOW"):
        await check_links(HttpUrl("http://127.0.0.1:9/"), job=job)


async def test_it_runs_as_a_task(job: JobContext) -> None:
    """Params come in and the report goes out as JSON, by the declared types."""
    task = TaskRegistry.from_modules([app.tasks])["check_links"]
    site = site_of({"/": html("/a")})
    async with site.listening():
        with allowing("127.0.0.1"):
            params = json.dumps({"url": site.url, "max_pages": 1}).encode()
            result = await run(task, params, job)
    assert json.loads(task.result.encode(result)) == {
        "complete": False,
        "pages": [{"url": site.url + "/", "status": 200, "links": 1}],
        "broken": [],
        "redirects": [],
        "broken_links": 0,
        "unchecked_links": 1,
        "external_links": 0,
    }


@pytest.mark.skipif(not DEBIAN_DOCS.is_dir(), reason="needs Debian's python3-doc")
async def test_a_real_site_is_checked(job: JobContext) -> None:
    """Of Python's own documentation, the pages that are read are sound."""
    report = await checked(Site(files_in(DEBIAN_DOCS)), job, "/tutorial/index.html", max_pages=12)
    assert len(report.pages) == 12
    assert {page.status for page in report.pages} <= {200, 404}
    assert sum(page.links for page in report.pages) > 500
    assert report.external_links > 10
    assert not report.complete
    assert report.broken_links < 20
