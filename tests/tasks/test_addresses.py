import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tasks.page import Link, NotAnAddress, link_to

URL = "http://site.test/folder/page"


@pytest.mark.parametrize(
    ("reference", "link"),
    [
        ("", URL),
        ("  other\n", "http://site.test/folder/other"),
        ("ot\nher", "http://site.test/folder/other"),
        ("../up", "http://site.test/up"),
        ("../../../up", "http://site.test/up"),
        ("/", "http://site.test/"),
        ("?q=1", "http://site.test/folder/page?q=1"),
        ("a b?c d", "http://site.test/folder/a%20b?c%20d"),
        ("bücher", "http://site.test/folder/b%C3%BCcher"),
        ("//other.test", "http://other.test/"),
        ("HTTP://SITE.test:80", "http://site.test/"),
        ("https://site.test:443/x/../y", "https://site.test/y"),
        ("http://user:pass@site.test/", "http://site.test/"),
        ("http://site.test?q", "http://site.test/?q"),
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://[::1]:80/", "http://[::1]/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
    ],
)
def test_an_address_has_one_spelling(reference: str, link: str) -> None:
    """References are resolved and written in one way, without what makes no difference."""
    assert link_to(URL, reference, {}) == Link(link)
    assert link_to(URL, f"{reference.strip()}#x", {}) == Link(link, "x")


@pytest.mark.parametrize(
    "reference",
    ["mailto:a@b.c", "tel:1", "javascript:void(0)", " JavaScript:x", "java\nscript:x", "data:,x"],
)
def test_what_is_not_of_the_web_is_no_link(reference: str) -> None:
    """Other schemes are left alone, however they are dressed up."""
    assert link_to(URL, reference, {}) is None


@pytest.mark.parametrize(
    "reference",
    [
        "http://[::1",
        "http://user@",
        "http://xn--/",
        "http://a:b/",
        "x" * 2001,
        "\ud800",
        "http://xn--\u2028.test/",
    ],
)
def test_some_references_are_no_addresses(reference: str) -> None:
    """What cannot be asked for is told apart."""
    with pytest.raises(NotAnAddress):
        link_to(URL, reference, {})


@given(st.text() | st.builds("http://{}".format, st.text()))
def test_any_text_may_stand_in_a_link(reference: str) -> None:
    """Whatever a page has for a link, it is an address, none, or of no interest."""
    try:
        link = link_to(URL, reference, {})
    except NotAnAddress:
        return
    if link:
        assert link.url.startswith(("http://", "https://"))
        assert link_to(URL, link.url, {}) == Link(link.url)
