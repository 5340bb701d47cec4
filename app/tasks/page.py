"""One web page, fetched and read in bounded time and space: what it links to and its anchors.

Pages may be hostile. A body is read up to 4 MiB, compressed or not, only known encodings are
decoded, and the event loop gets its turn every few milliseconds.
"""

import asyncio
import re
import zlib
from codecs import getincrementaldecoder
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Final

import httpx

_MAX_BODY: Final = 4 << 20
_MAX_UNREAD: Final = 256 << 10
"""More than this without an end of the tag, comment or script: no page that is meant to be read."""

_MAX_LINKS: Final = 20_000
_MAX_ADDRESS: Final = 2_000
_PORTION: Final = 4 << 10
_NO_LOCATION: Final = "redirects to no valid address"
_HTML: Final = ("text/html", "application/xhtml+xml")
_LINKING: Final = {"a": "href", "area": "href", "iframe": "src", "frame": "src"}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LINE_ENDS: Final = str.maketrans("", "", "\t\r\n")
# Python knows encodings that take minutes to decode, or are none; the web uses these.
_ENCODINGS: Final = re.compile(
    r"us-ascii|utf-?8|utf-?16(le|be)?|iso-8859-([1-9]|1[013456])|windows-(874|125[0-8])"
    r"|koi8-[ru]|gb2312|gbk|gb18030|big5|euc-(jp|kr)|shift_jis|iso-2022-jp"
)


@dataclass(frozen=True, slots=True)
class Link:
    """An address without its fragment, and the fragment; `valid` is False for what is neither."""

    url: str
    fragment: str = ""
    valid: bool = True

    def __str__(self) -> str:
        return f"{self.url}#{self.fragment}" if self.fragment else self.url


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on a page; `whole` is False when it could not be read to its end."""

    links: tuple[Link, ...] = ()
    anchors: frozenset[str] = frozenset()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking for an address; `problem` says why it is broken, None if it is not."""

    status: int | None = None
    problem: str | None = None
    location: Link | None = None
    """Where it redirects to."""
    page: Page | None = None
    """What it holds, when that is HTML."""


class NotAnAddress(ValueError):
    """Raised when a link on a page is no address that could be asked for."""


async def ask(client: httpx.AsyncClient, url: str, time_limit: float) -> Answer:
    """Fetches an address. Raises TimeoutError or httpx.TransportError when there is no answer."""
    try:
        async with asyncio.timeout(time_limit), client.stream("GET", url) as response:
            answer = _answer_without_body(url, response)
            if answer:
                return answer
            body, whole = _unpacked(*await _body(response), response.headers)
    except (httpx.InvalidURL, UnicodeError):  # httpx looks at where a redirect goes before we do
        return Answer(problem=_NO_LOCATION)
    page = await _read(url, body, response.charset_encoding, whole)
    return Answer(response.status_code, page=page)


def link_to(base: str, reference: str, known: dict[str, str]) -> Link | None:
    """The link that a reference on a page makes, None when it is not of the web (`mailto:`).

    `known` keeps what was worked out for this base before. Raises NotAnAddress.
    """
    address, _, fragment = reference.strip().translate(_LINE_ENDS).partition("#")
    scheme = _SCHEME.match(address)
    if scheme and scheme[0].lower() not in ("http:", "https:"):
        return None
    if address not in known:
        known[address] = _absolute(base, address)
    return Link(known[address], fragment)


def _absolute(base: str, address: str) -> str:
    """The one spelling of an address: no user, no default port, at least `/` for a path."""
    if len(address) > _MAX_ADDRESS:
        raise NotAnAddress("the address is too long")
    try:
        url = httpx.URL(base).join(address)
        host = url.host  # fails for some names
    except (httpx.InvalidURL, ValueError) as error:
        raise NotAnAddress("the address is not valid") from error
    if not host:
        raise NotAnAddress("the address has no host")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}"


def _answer_without_body(url: str, response: httpx.Response) -> Answer | None:
    """What the head says, None if there is a page to be read."""
    status = response.status_code
    if response.has_redirect_location:
        return _redirected(url, status, response.headers["Location"])
    if status >= HTTPStatus.BAD_REQUEST:
        return Answer(status, httpx.codes.get_reason_phrase(status) or "an error")
    content_type = response.headers.get("Content-Type", "").partition(";")[0]
    return None if content_type.strip().lower() in _HTML else Answer(status)


def _redirected(url: str, status: int, location: str) -> Answer:
    try:
        link = link_to(url, location, {})
    except NotAnAddress:
        return Answer(status, _NO_LOCATION)
    return Answer(status, location=link or Link(location))


async def _body(response: httpx.Response) -> tuple[bytes, bool]:
    """The body as sent, and whether that is all of it."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > _MAX_BODY:
            return bytes(body[:_MAX_BODY]), False
    return bytes(body), True


def _unpacked(body: bytes, whole: bool, headers: Mapping[str, str]) -> tuple[bytes, bool]:
    """The body without compression. httpx would unpack a few kilobytes to gigabytes unasked."""
    match headers.get("Content-Encoding", "identity").lower():
        case "identity":
            return body, whole
        case "gzip" | "x-gzip":
            unpacking = zlib.decompressobj(wbits=31)
            try:
                body = unpacking.decompress(body, _MAX_BODY)
            except zlib.error:
                return b"", False
            return body, whole and unpacking.eof
        case _:
            return b"", False


async def _read(url: str, body: bytes, encoding: str | None, whole: bool) -> Page:
    reader = _Reader()
    known = encoding and _ENCODINGS.fullmatch(encoding.lower())
    decoder = getincrementaldecoder(known[0] if known else "utf-8")("replace")
    for start in range(0, len(body), _PORTION):
        whole = reader.read(decoder.decode(body[start : start + _PORTION])) and whole
        await asyncio.sleep(0)
    return Page(await _links(url, reader), frozenset(reader.anchors), whole)


async def _links(url: str, reader: "_Reader") -> tuple[Link, ...]:
    """The links on a page, each once."""
    base = _base(url, reader.base)
    known: dict[str, str] = {}
    links: dict[Link, None] = {}
    for number, reference in enumerate(reader.references):
        if number % 20 == 0:
            await asyncio.sleep(0)
        try:
            if link := link_to(base, reference, known):
                links[link] = None
        except NotAnAddress:
            links[Link(reference, valid=False)] = None
    return tuple(links)


def _base(url: str, declared: str | None) -> str:
    try:
        link = link_to(url, declared or "", {})
    except NotAnAddress:
        return url
    return link.url if link else url


class _Reader(HTMLParser):
    """Collects what a page refers to and which anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.references: dict[str, None] = {}
        self.anchors: set[str] = set()
        self.base: str | None = None
        self._broken_off = False

    def read(self, text: str) -> bool:
        """Takes the next portion of the page; False when it can make nothing of what is there."""
        if not self._broken_off:
            try:
                self.feed(text)
            except (AssertionError, ValueError):  # html.parser's, for some malformed markup
                self._broken_off = True
        self._broken_off |= len(self.rawdata) > _MAX_UNREAD or len(self.references) > _MAX_LINKS
        return not self._broken_off

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes what matters from one tag."""
        for name, value in attrs:
            if not value:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name == _LINKING.get(tag):
                self.references[value] = None
            elif tag == "base" and name == "href":
                self.base = self.base or value
