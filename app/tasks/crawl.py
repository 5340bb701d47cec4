"""What a crawl of one site knows and what it asks for next: no I/O and no waiting in here."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, urljoin

from app.tasks.link_report import (
    MAX_LISTED,
    BrokenLink,
    LinkReport,
    PageReport,
    Redirect,
    shown,
)
from app.tasks.page import Answer, Link, Page

_PORTION: Final = 500
_MAX_HOPS: Final = 10


@dataclass(frozen=True, slots=True)
class _Reference:
    """A link and the page it stands on."""

    page: str
    link: Link


class Crawl:
    """One site, from a first page on: each address of it is asked for at most once.

    A link is judged as soon as the address that it leads to has answered. Memory is bounded: by
    `max_pages` addresses, `max_anchors` of all pages together, and `max_waiting` links.
    """

    def __init__(
        self,
        start: Link,
        max_pages: int,
        *,
        max_anchors: int = 500_000,
        max_waiting: int = 100_000,
    ) -> None:
        self.todo = deque([start.url])
        """The addresses to ask for next."""
        self._max_pages = max_pages
        self._max_anchors = max_anchors
        self._max_waiting = max_waiting
        self._site = urljoin(start.url, "/")
        self._known = {start.url}
        self._answers: dict[str, Answer] = {}
        self._waiting = {start.url: [_Reference(start.url, start)]}
        self._waiting_links = 1
        self._unsettled: deque[_Reference] = deque()
        self._blamed: set[_Reference] = set()
        self._kept_anchors = 0
        self._all_read = True
        self._pages: list[PageReport] = []
        self._redirects: list[Redirect] = []
        self._broken: list[BrokenLink] = []
        self._broken_links = 0
        self._unchecked_links = 0
        self._external_links = 0

    @property
    def answered(self) -> int:
        """How many addresses have answered."""
        return len(self._answers)

    @property
    def known(self) -> int:
        """How many addresses have been found so far and will be asked for, or have been."""
        return len(self._known)

    def record(self, url: str, answer: Answer) -> None:
        """Takes what came of an address; `settle` then judges the links that waited for it."""
        self._answers[url] = self._without_links(answer)
        if answer.location:
            self._add_redirect(url, answer.status or 0, answer.location)
        else:
            self._add_page(url, answer)
        waited = self._waiting.pop(url, [])
        self._waiting_links -= len(waited)
        self._unsettled += waited
        if answer.page:
            self._unsettled += [_Reference(url, link) for link in answer.page.links]

    @property
    def unsettled(self) -> int:
        """How many links can be judged now."""
        return len(self._unsettled)

    def settle(self) -> list[BrokenLink]:
        """Judges some links, for a few milliseconds; returns those that are broken."""
        portion = [self._unsettled.popleft() for _ in range(min(_PORTION, self.unsettled))]
        broken = list(filter(None, map(self._judged, portion)))
        self._broken += broken[: MAX_LISTED - len(self._broken)]
        self._broken_links += len(broken)
        return broken

    def report(self) -> LinkReport:
        """What has been found so far."""
        unchecked = self._unchecked_links + self._waiting_links + self.unsettled
        return LinkReport(
            complete=self._all_read and not unchecked,
            pages=self._pages,
            broken=self._broken,
            redirects=self._redirects,
            broken_links=self._broken_links,
            unchecked_links=unchecked,
            external_links=self._external_links,
        )

    def _is_inside(self, link: Link) -> bool:
        return link.url.startswith(self._site)

    def _add_page(self, url: str, answer: Answer) -> None:
        links = len(answer.page.links) if answer.page else 0
        self._pages.append(PageReport(url=shown(url), status=answer.status, links=links))

    def _add_redirect(self, url: str, status: int, location: Link) -> None:
        if len(self._redirects) < MAX_LISTED:
            found = Redirect(url=shown(url), location=shown(str(location)), status=status)
            self._redirects.append(found)

    def _without_links(self, answer: Answer) -> Answer:
        """The answer as it is kept: of its page no more than the anchors, if those are known."""
        if answer.page is None:
            return answer
        self._kept_anchors += len(answer.page.anchors)
        if not answer.page.whole or self._kept_anchors > self._max_anchors:
            self._all_read = False
            return replace(answer, page=None)
        return replace(answer, page=Page(anchors=answer.page.anchors))

    def _judged(self, reference: _Reference) -> BrokenLink | None:
        """What is wrong with a link, None if nothing is or its address has not answered yet."""
        link = reference.link
        if not link.valid:
            return _broken(reference, "is no valid address")
        if not self._is_inside(link):
            self._external_links += 1
            return None
        for _ in range(_MAX_HOPS):
            answer = self._answers.get(link.url)
            if answer is None:
                self._put_off(reference, link.url)
                return None
            if answer.location is None:
                return self._judged_by(answer, reference, link.fragment)
            link = replace(answer.location, fragment=answer.location.fragment or link.fragment)
            if not self._is_inside(link):
                return None
        return _broken(reference, "redirects in a circle or too often")

    def _judged_by(self, answer: Answer, reference: _Reference, fragment: str) -> BrokenLink | None:
        if answer.problem is None:
            missing = answer.page and not _has_anchor(answer.page, fragment)
            return _broken(reference, "has no such anchor", answer.status) if missing else None
        whole = _Reference(reference.page, replace(reference.link, fragment=""))
        if whole in self._blamed:
            return None
        self._blamed.add(whole)
        return _broken(whole, answer.problem, answer.status)

    def _put_off(self, reference: _Reference, url: str) -> None:
        if url not in self._known and len(self._known) < self._max_pages:
            self._known.add(url)
            self.todo.append(url)
        if url in self._known and self._waiting_links < self._max_waiting:
            self._waiting.setdefault(url, []).append(reference)
            self._waiting_links += 1
        else:
            self._unchecked_links += 1


def _has_anchor(page: Page, fragment: str) -> bool:
    name = unquote(fragment.partition(":~:")[0])  # after that, browsers look for text
    if name.lower() in ("", "top") or name.startswith(("/", "!")):  # the last two are scripts' own
        return True
    return name in page.anchors or fragment in page.anchors


def _broken(reference: _Reference, reason: str, status: int | None = None) -> BrokenLink:
    page, link = shown(reference.page), shown(str(reference.link))
    return BrokenLink(page=page, link=link, reason=reason, status=status)
