import pytest

from app.tasks.crawl import Crawl
from app.tasks.link_report import BrokenLink, LinkReport
from app.tasks.page import Answer, Link, Page

START = "http://site.test/"
A = "http://site.test/a"
B = "http://site.test/b"
C = "http://site.test/c"


def page(*links: str, anchors: str = "", whole: bool = True) -> Answer:
    """A page with these links (`address#fragment`) and anchors (separated by spaces)."""
    parted = (link.partition("#") for link in links)
    found = tuple(Link(url, fragment) for url, _, fragment in parted)
    return Answer(200, page=Page(found, frozenset(anchors.split()), whole))


def redirect(location: str) -> Answer:
    """An answer that sends its visitors on."""
    url, _, fragment = location.partition("#")
    return Answer(301, location=Link(url, fragment))


NOT_FOUND = Answer(404, "Not Found")


def crawled(answers: dict[str, Answer], max_pages: int = 50, **limits: int) -> LinkReport:
    """The report on a site that answers like this, asked in the order the crawl wants."""
    crawl = Crawl(Link(START), max_pages, **limits)
    while crawl.todo:
        url = crawl.todo.popleft()
        crawl.record(url, answers.pop(url))
        while crawl.unsettled:
            crawl.settle()
    return crawl.report()


def broken(report: LinkReport) -> list[tuple[str, str, int | None]]:
    """What is broken, as links with reason and status."""
    return [(each.link, each.reason, each.status) for each in report.broken]


def test_every_address_is_asked_for_once() -> None:
    """Pages that link to each other and to themselves are each visited once."""
    report = crawled({START: page(A, A, START, B), A: page(START, B), B: page(A)})
    assert [(p.url, p.status, p.links) for p in report.pages] == [
        (START, 200, 4),
        (A, 200, 2),
        (B, 200, 1),
    ]
    assert report.complete
    assert broken(report) == []


def test_an_error_is_reported_for_each_page_that_links_there() -> None:
    """A broken link is listed once for each page it stands on, whatever its fragments."""
    report = crawled(
        {START: page(A, B), A: page(B, B + "#x", B + "#y"), B: NOT_FOUND},
    )
    assert report.broken == [
        BrokenLink(page=START, link=B, reason="Not Found", status=404),
        BrokenLink(page=A, link=B, reason="Not Found", status=404),
    ]
    assert report.broken_links == 2
    assert report.complete


@pytest.mark.parametrize("fragment", ["", "top", "TOP", "here", "w%C3%B6rt", "wört", ":~:text=x"])
def test_an_anchor_that_is_there_is_fine(fragment: str) -> None:
    """A fragment may be an id, percent-encoded or not, the top of the page or a text to find."""
    report = crawled({START: page(f"{A}#{fragment}"), A: page(anchors="here wört")})
    assert broken(report) == []


@pytest.mark.parametrize(("answer", "link"), [(NOT_FOUND, START), (page(), START + "#x")])
def test_the_first_address_is_a_link_too(answer: Answer, link: str) -> None:
    """The address that the crawl was given is reported when it is broken itself."""
    crawl = Crawl(Link(START, "x"), 50)
    crawl.record(START, answer)
    assert [(each.page, each.link) for each in crawl.settle()] == [(START, link)]


def test_an_anchor_that_is_not_there_is_broken() -> None:
    """It does not matter which of the two pages answers first; upper case differs from lower."""
    report = crawled({START: page(A + "#no", START + "#no"), A: page(START + "#Here", A + "#here")})
    reason = "has no such anchor"
    assert broken(report) == [
        (START + "#no", reason, 200),
        (A + "#no", reason, 200),
        (START + "#Here", reason, 200),
        (A + "#here", reason, 200),
    ]


@pytest.mark.parametrize("fragment", ["/route", "!route"])
def test_routes_of_scripts_are_not_judged(fragment: str) -> None:
    """Fragments that only a script can have put to use are left alone."""
    assert broken(crawled({START: page(f"{START}#{fragment}")})) == []


def test_a_page_not_read_to_its_end_may_have_any_anchor() -> None:
    """What is not known to be broken is not called broken, and the report is not complete."""
    report = crawled({START: page(A + "#deep"), A: page(anchors="x", whole=False)})
    assert broken(report) == []
    assert not report.complete


def test_anchors_of_what_is_no_page_are_not_judged() -> None:
    """A fragment in a PDF or the like is its reader's business."""
    assert crawled({START: page(A + "#page=3"), A: Answer(200)}).complete


def test_a_redirect_is_followed_within_the_site() -> None:
    """The link is as good as the page at the end of the way, which gets its fragment."""
    report = crawled(
        {
            START: page(A + "#here", A + "#gone"),
            A: redirect(B),
            B: redirect(C),
            C: page(anchors="here"),
        }
    )
    assert [(r.url, r.location, r.status) for r in report.redirects] == [(A, B, 301), (B, C, 301)]
    assert broken(report) == [(A + "#gone", "has no such anchor", 200)]
    assert [p.url for p in report.pages] == [START, C]


def test_a_redirect_may_name_the_fragment() -> None:
    """A fragment in the redirect replaces the link's own."""
    report = crawled({START: page(A + "#old"), A: redirect(B + "#new"), B: page(anchors="new")})
    assert broken(report) == []


def test_a_redirect_to_an_error_breaks_the_link() -> None:
    """The link as it stands on the page is reported, with the status at the end."""
    report = crawled({START: page(A), A: redirect(B), B: NOT_FOUND})
    assert broken(report) == [(A, "Not Found", 404)]


def test_redirects_in_a_circle_are_broken() -> None:
    """Two addresses that redirect to each other, or one to itself, end as broken links."""
    report = crawled({START: page(A, C), A: redirect(B), B: redirect(A), C: redirect(C)})
    reason = "redirects in a circle or too often"
    assert broken(report) == [(C, reason, None), (A, reason, None)]


def test_an_endless_chain_of_redirects_is_given_up() -> None:
    """No more than ten redirects are followed for a link."""
    chain = {f"{A}{number}": redirect(f"{A}{number + 1}") for number in range(20)}
    report = crawled({START: page(A + "0"), **chain})
    assert len(report.redirects) == 10
    assert [b.link for b in report.broken] == [A + "0"]


@pytest.mark.parametrize("location", ["http://other.test/", "https://site.test/", "mailto:x@y.z"])
def test_a_redirect_off_the_site_is_recorded_only(location: str) -> None:
    """It is not followed, and the link to it is not broken."""
    report = crawled({START: page(A), A: redirect(location)})
    assert [r.location for r in report.redirects] == [location]
    assert broken(report) == []
    assert report.complete


@pytest.mark.parametrize(
    "link",
    [
        "http://other.test/",
        "https://site.test/",
        "http://site.test:8080/",
        "http://site.test.evil/",
        "http://www.site.test/",
    ],
)
def test_other_hosts_are_counted_only(link: str) -> None:
    """Another scheme, host or port is another site."""
    report = crawled({START: page(link, A), A: page(link)})
    assert report.external_links == 2
    assert report.complete


def test_what_is_no_address_is_broken() -> None:
    """A link that cannot be asked for is reported without asking."""
    bad = Answer(200, page=Page((Link("http://[", valid=False),)))
    assert broken(crawled({START: bad})) == [("http://[", "is no valid address", None)]


def test_no_more_than_max_pages_are_asked_for() -> None:
    """What lies beyond the limit counts as unchecked, and the report is not complete."""
    report = crawled({START: page(A, B, C), A: page(C, B)}, max_pages=2)
    assert [p.url for p in report.pages] == [START, A]
    assert (report.unchecked_links, report.complete) == (4, False)


def test_a_report_can_be_had_at_any_time() -> None:
    """Before everything has answered, the rest counts as unchecked."""
    crawl = Crawl(Link(START), 50)
    assert not crawl.report().complete
    crawl.record(START, page(A, A + "#x"))
    assert (crawl.unsettled, crawl.report().unchecked_links) == (3, 3)
    assert crawl.settle() == []
    assert (crawl.answered, crawl.known, crawl.report().unchecked_links) == (1, 2, 2)
    crawl.record(A, page())
    assert [b.link for b in crawl.settle()] == [A + "#x"]
    assert (crawl.report().unchecked_links, crawl.report().complete) == (0, True)


def test_a_report_stays_small() -> None:
    """A site full of errors and redirects fills 1 MiB by far not, and all of it is counted."""
    long = "x" * 1000
    addresses = [f"{START}{number}{long}" for number in range(999)]
    answers = {url: redirect("http://other.test/") for url in addresses[:600]}
    answers |= {url: Answer(404, "Not Found") for url in addresses[600:]}
    dead = [f"{START}#{long}{number}" for number in range(600)]
    report = crawled({START: page(*addresses, *dead), **answers}, max_pages=1000)
    assert report.broken_links == 600 + 399
    assert (len(report.broken), len(report.redirects)) == (500, 500)
    assert len(report.model_dump_json()) < 1 << 20


def test_anchors_over_the_limit_are_forgotten() -> None:
    """Their pages may then have any anchor, and the report is not complete."""
    answers = {START: page(A, B), A: page(B + "#x", anchors="a b"), B: page(anchors="c d")}
    report = crawled(answers, max_anchors=3)
    assert broken(report) == []
    assert not report.complete


def test_links_over_the_limit_are_not_judged() -> None:
    """No more than so many links wait for an answer; the others count as unchecked."""
    links = [f"{A}#{number}" for number in range(10)]
    report = crawled({START: page(*links), A: page()}, max_waiting=7)
    assert (report.broken_links, report.unchecked_links, report.complete) == (7, 3, False)
