import pytest

from app.outbound import OutboundPolicy
from app.receivers import receiver_of

STRICT = OutboundPolicy()


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("https://example.org", "example.org:443"),
        ("HTTPS://Example.ORG:443/a?b=c#d", "example.org:443"),
        ("http://example.org:8080/", "example.org:8080"),
        ("http://93.184.216.34/x", "93.184.216.34:80"),
        ("https://[2606:4700::1]:8443/", "[2606:4700::1]:8443"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example:443"),
    ],
)
def test_receivers(url: str, receiver: str) -> None:
    """A receiver is a host and a port, however its URL is written."""
    assert receiver_of(url, STRICT) == receiver


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "//example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http:///path",
        "https://a b/",
        "https://a%20b/",
        "https://exa\x00mple.org/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "https://bücher.example/",
        "https://user@example.org/",
        "https://:pass@example.org/",
        "https://\ud800.example/",
        "https://-.\u2028/",
        "http://127.0.0.1/",
        "http://127.0.0.1:8000/jobs",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.1.2.3/",
        "http://0.0.0.0/",
    ],
)
def test_what_is_refused(url: str) -> None:
    """What is no plain URL of http or https, or names a private address, is refused unrepeated."""
    with pytest.raises(ValueError, match=r"^(is no|has )") as raised:
        receiver_of(url, STRICT)
    assert not url or url not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/", "is no URL of http or https"),
        ("http:///path", "has no host"),
        ("https://a%20b/", "has a host that is none"),
        ("http://example.org:99999/", "has a port that is none"),
        ("http://example.org:x/", "is no URL: Invalid port: 'x'"),
        ("https://user@example.org/", "has a user or a password"),
        ("https://bücher.example/", "characters that are written as"),
        ("http://10.1.2.3/", "has an address that is not public"),
    ],
)
def test_why_it_is_refused(url: str, reason: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ValueError, match=reason):
        receiver_of(url, STRICT)


def test_what_is_let_through() -> None:
    """A private address that the operator allows is no obstacle."""
    assert receiver_of("http://10.1.2.3/", OutboundPolicy.parse("10.0.0.0/8")) == "10.1.2.3:80"
