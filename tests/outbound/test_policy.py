from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound import OutboundPolicy, is_public

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:830::200e",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.23",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    """Addresses of the public internet, up to the edges of the special blocks, are public."""
    assert is_public(ip_address(address))
    assert OutboundPolicy().allows("example.org", ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_special_addresses_are_not_public(address: str) -> None:
    """No private, local, reserved, metadata or tunnelled form is let through by default."""
    assert not is_public(ip_address(address))
    assert not OutboundPolicy().allows("example.org", ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_by_itself(address: object) -> None:
    """An IPv4 address is as public inside a mapped or NAT64 address as it is alone."""
    expected = is_public(ip_address(str(address)))
    for form in ("::ffff:", "64:ff9b::"):
        assert is_public(ip_address(f"{form}{address}")) == expected


@given(st.ip_addresses())
def test_what_python_calls_loopback_or_link_local_is_never_public(address: object) -> None:
    """Nothing that `ipaddress` knows to be local or multicast passes."""
    parsed = ip_address(str(address))
    local = parsed.is_loopback or parsed.is_link_local or parsed.is_multicast
    assert not (local and is_public(parsed))


def test_an_empty_text_is_the_strict_policy() -> None:
    """Nothing listed, or nothing but commas, allows nothing that is not public."""
    assert OutboundPolicy.parse("") == OutboundPolicy.parse(" , ,") == OutboundPolicy()


@pytest.mark.parametrize(
    ("listed", "host", "address"),
    [
        ("localhost", "localhost", "127.0.0.1"),
        ("LocalHost.", "localhost", "::1"),
        ("localhost", "LOCALHOST.", "::1"),
        ("bücher.test", "xn--bcher-kva.test", "10.0.0.1"),
        ("a_b.svc.cluster.local", "a_b.svc.cluster.local", "10.96.0.1"),
        ("10.0.0.0/8", "x.test", "10.1.2.3"),
        ("10.0.0.0/255.0.0.0", "x.test", "10.1.2.3"),
        ("10.0.0.0/8", "x.test", "::ffff:10.1.2.3"),
        ("127.0.0.1", "x.test", "127.0.0.1"),
        ("::1", "x.test", "::1"),
        ("fd00::/8", "x.test", "fd00:ec2::254"),
        ("db, ,10.0.0.0/8,", "x.test", "10.1.2.3"),
    ],
)
def test_what_is_listed_is_let_through(listed: str, host: str, address: str) -> None:
    """A listed host allows any of its addresses, a listed network any host's in it."""
    assert OutboundPolicy.parse(listed).allows(host, ip_address(address))


@pytest.mark.parametrize(
    ("listed", "host", "address"),
    [
        ("localhost", "evil.localhost", "127.0.0.1"),
        ("localhost", "localhost.evil.test", "127.0.0.1"),
        ("localhost", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost", "::1"),
        ("10.0.0.0/8", "x.test", "192.168.0.1"),
        ("::1", "x.test", "127.0.0.1"),
        ("10.0.0.0/8", "x.test", "2002:a00:1::"),
    ],
)
def test_what_is_not_listed_stays_refused(listed: str, host: str, address: str) -> None:
    """Listing one host or network says nothing about its neighbours."""
    assert not OutboundPolicy.parse(listed).allows(host, ip_address(address))


@pytest.mark.parametrize(
    "bad",
    [
        "http://localhost",
        "localhost:8080",
        "[::1]",
        "user@host",
        "*.example.org",
        "two words",
        "a..b",
        "a/b",
        "10.0.0",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "2130706433",
        "0x7f000001",
        "::1::",
    ],
)
def test_a_bad_entry_is_named(bad: str) -> None:
    """An entry that is no host, address or network is a ValueError that quotes it."""
    with pytest.raises(ValueError, match="is no host, address or network") as caught:
        OutboundPolicy.parse(f"localhost, {bad}")
    assert repr(bad) in str(caught.value)
