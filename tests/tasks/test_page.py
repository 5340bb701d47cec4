import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TypeAlias

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tasks.page import Answer, Link, Page, ask

URL = "http://site.test/folder/page"
MIB = 1 << 20

Headers: TypeAlias = Mapping[str, str]
HTML = {"Content-Type": "text/html"}


class Body(httpx.AsyncByteStream):
    """A body that arrives in parts, and counts how much of it was taken."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.parts = parts
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            self.taken += len(part)
            yield part


class Stuck(httpx.AsyncByteStream):
    """A body that begins, and never ends."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"<p"
        await asyncio.Event().wait()


async def asked(body: bytes | Body, status: int = 200, headers: Headers | None = None) -> Answer:
    """What comes of asking a server that answers like this."""
    sent = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    stream = Body([body]) if isinstance(body, bytes) else body
    answers = httpx.MockTransport(lambda _: httpx.Response(status, headers=sent, stream=stream))
    async with httpx.AsyncClient(transport=answers) as client:
        return await ask(client, URL, time_limit=10)


async def read(html: str | bytes, headers: Headers = HTML) -> Page:
    """What is found on a page."""
    body = html.encode() if isinstance(html, str) else html
    answer = await asked(body, headers=headers)
    assert answer.page is not None
    return answer.page


async def test_links_and_anchors_are_found() -> None:
    """Links stand in `a`, `area` and frames, anchors in any `id` and in the `name` of an `a`."""
    page = await read(
        """<!DOCTYPE html><html id=top1><body>
        <a href="one">1</a><A HREF='one#there'>2</A><a href=one>again</a><area href=two>
        <iframe src="three"></iframe><frame src=four><a href>no</a><a href="">no</a>
        <img src=image.png><link href=style.css><script>document.write("<a href=no>")</script>
        <!-- <a href=no> --><a name="old"></a><input name=no><p id="a&amp;b"/>
        <a href="?a=1&amp;b=2"><a href="mailto:x@y.z"><a href="http://[::1">"""
    )
    folder = "http://site.test/folder"
    assert page.links == (
        Link(f"{folder}/one"),
        Link(f"{folder}/one", "there"),
        Link(f"{folder}/two"),
        Link(f"{folder}/three"),
        Link(f"{folder}/four"),
        Link(f"{folder}/page?a=1&b=2"),
        Link("http://[::1", valid=False),
    )
    assert page.anchors == {"top1", "old", "a&b"}
    assert page.whole


@pytest.mark.parametrize(
    ("base", "link"),
    [
        ("/else/", "http://site.test/else/x"),
        ("http://other.test", "http://other.test/x"),
        ("data:,", "http://site.test/folder/x"),
        ("http://[::1", "http://site.test/folder/x"),
    ],
)
async def test_a_page_may_say_what_its_links_start_from(base: str, link: str) -> None:
    """The first `base` counts, if it is an address."""
    page = await read(f'<a href=x></a><base href="{base}"><base href="/late/">')
    assert page.links == (Link(link),)


@pytest.mark.parametrize(
    "content_type", ["text/html", "Text/HTML; charset=x", "application/xhtml+xml"]
)
async def test_html_is_read(content_type: str) -> None:
    """HTML is read by its type, whatever else the header says."""
    assert (await read("<p id=x>", {"Content-Type": content_type})).anchors == {"x"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/pdf", "image/svg+xml", ""])
async def test_nothing_else_is_read(content_type: str) -> None:
    """The body of anything but HTML is not even fetched."""
    body = Body([b"<p id=x>"])
    assert await asked(body, headers={"Content-Type": content_type}) == Answer(200)
    assert body.taken == 0


@pytest.mark.parametrize(
    ("encoded", "charset"),
    [
        ("<p id=wört>".encode(), "utf-8"),
        ("<p id=wört>".encode(), "UTF8"),
        ("<p id=wört>".encode("latin-1"), "ISO-8859-1"),
        ("<p id=wört>".encode("utf-16"), "utf-16"),
        ("<p id=wört>".encode("cp1252"), "windows-1252"),
        ("<p id=wört>".encode(), "nonsense"),
        ("<p id=wört>".encode(), "punycode"),
        ("<p id=wört>".encode(), "zlib"),
        ("<p id=wört>".encode(), "undefined"),
        ("<p id=wört>".encode(), "unicode_escape"),
        ("<p id=wört>".encode(), "utf-8\u00e9"),
    ],
)
async def test_encodings_of_the_web_are_decoded(encoded: bytes, charset: str) -> None:
    """Everything else, Python's own oddities included, is read as UTF-8."""
    page = await read(encoded, {"Content-Type": f"text/html; charset={charset}"})
    assert page.anchors == {"wört"}


async def test_bad_bytes_do_no_harm() -> None:
    """What is no text stands as a replacement character."""
    page = await read(b"<p id=a\xff><p id=b>\x00<p id=\xf0\x9f>")
    assert page.anchors == {"a\ufffd", "b", "\ufffd"}


async def test_characters_may_be_cut_anywhere() -> None:
    """Tags and characters that lie across two portions are put together again."""
    filler = "ü" * 5000
    page = await read("".join(f"{filler}<p id=ö{n}>" for n in range(9)))
    assert page.anchors == {f"ö{n}" for n in range(9)}


@pytest.mark.parametrize(
    "tail",
    [
        "<![ odd [",
        "<![CDATA[",
        "<a href='&#" + "9" * 5000 + ";'>",
        "<a " + "x" * 300_000,
        "<!--" * 100_000,
        "<script>" + "</scrip" * 50_000,
        "".join(f"<a href='#{n}'>" for n in range(21_000)),
    ],
    ids=["section", "cdata", "number", "tag", "comment", "script", "links"],
)
async def test_hostile_markup_is_left_off(tail: str) -> None:
    """What came before is kept, what comes after is not looked at, and the page says so."""
    page = await read(f"<p id=before>{tail}{' ' * 300_000}<p id=after>")
    assert page.anchors >= {"before"}
    assert "after" not in page.anchors
    assert not page.whole


async def test_a_page_without_end_is_cut() -> None:
    """No more than 4 MiB are taken, and the page says that it was longer."""
    body = Body(b"<p id=x>".ljust(MIB) for _ in range(100))
    answer = await asked(body, headers=HTML)
    assert answer.page == Page(anchors=frozenset("x"), whole=False)
    assert body.taken == 5 * MIB


async def test_a_page_that_takes_too_long_is_given_up() -> None:
    """The time limit covers the whole page, however it trickles in."""
    answers = httpx.MockTransport(lambda _: httpx.Response(200, headers=HTML, stream=Stuck()))
    async with httpx.AsyncClient(transport=answers) as client:
        with pytest.raises(TimeoutError):
            await ask(client, URL, time_limit=0.01)


async def test_a_compressed_page_is_read() -> None:
    """Pages may come packed with gzip."""
    page = await read(gzip.compress(b"<p id=x>"), HTML | {"Content-Encoding": "gzip"})
    assert page == Page(anchors=frozenset("x"))


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(b"<p id=x>" * 99)[:-9], "x-gzip"),
        (gzip.compress(gzip.compress(b"<p id=x>")), "gzip, gzip"),
        (zlib.compress(b"<p id=x>"), "deflate"),
        (b"<p id=x>", "unheard-of"),
    ],
    # Of their own: what gzip packs has the time in it, and every process must collect the same.
    ids=["not packed", "cut off", "twice", "another way", "unheard of"],
)
async def test_a_page_that_cannot_be_unpacked_is_not_whole(packed: bytes, encoding: str) -> None:
    """Damaged, doubly packed or strangely packed pages are taken as far as they can be."""
    assert not (await read(packed, HTML | {"Content-Encoding": encoding})).whole


async def test_a_compression_bomb_does_not_go_off() -> None:
    """However much a page would unpack to, 4 MiB of it are read."""
    packing = zlib.compressobj(wbits=31)
    bomb = b"".join(packing.compress(b" " * MIB) for _ in range(64)) + packing.flush()
    assert len(bomb) < MIB
    page = await read(bomb, HTML | {"Content-Encoding": "gzip"})
    assert page == Page(whole=False)


@pytest.mark.parametrize(
    ("status", "problem"), [(404, "Not Found"), (500, "Internal Server Error"), (599, "an error")]
)
async def test_an_error_is_a_problem(status: int, problem: str) -> None:
    """A status from 400 on is named in words, and its page is not read."""
    body = Body([b"<p id=x>"])
    assert await asked(body, status, HTML) == Answer(status, problem)
    assert body.taken == 0


@pytest.mark.parametrize(
    ("location", "link"),
    [
        ("/new#part", Link("http://site.test/new", "part")),
        ("http://other.test", Link("http://other.test/")),
        ("ftp://site.test/", Link("ftp://site.test/")),
    ],
)
async def test_a_redirect_has_a_location(location: str, link: Link) -> None:
    """The location is resolved like a link; what is not of the web stays as it is."""
    assert await asked(b"", 308, {"Location": location}) == Answer(308, location=link)


@pytest.mark.parametrize(
    ("location", "status"), [("/" + "x" * 3000, 302), ("mailto:a@b.c", None), ("http://xn--", None)]
)
async def test_a_redirect_to_nowhere_is_a_problem(location: str, status: int | None) -> None:
    """A location that is no address of the web, or too long a one, breaks the link."""
    answer = await asked(b"", 302, {"Location": location})
    assert answer == Answer(status, "redirects to no valid address")


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF)))
async def test_any_location_may_be_sent(location: str) -> None:
    """Whatever a server sends for a location, it is an answer or an error of httpx."""
    try:
        answer = await asked(b"", 302, {"Location": location})
    except httpx.TransportError:
        return
    assert answer.location or answer.problem or not location
