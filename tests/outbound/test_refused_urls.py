import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from app.outbound import OutboundRefused, outbound_client

NAMES = {
    "localhost": ["127.0.0.1", "::1"],
    "localhost.localdomain": ["127.0.0.1"],
    "localtest.me": ["127.0.0.1"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
    "xn--bcher-kva.test": ["192.168.0.7"],
    "metadata": ["169.254.169.254"],
    "metadata.google.internal": ["169.254.169.254"],
    "instance-data.ec2.internal": ["169.254.169.254"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "host.docker.internal": ["172.17.0.1"],
    "six.test": ["fd00::5"],
    "mapped.test": ["::ffff:10.0.0.5"],
    "nat64.test": ["64:ff9b::10.0.0.5"],
    "mixed.test": ["93.184.215.14", "10.0.0.5"],
    "mixed6.test": ["2606:4700::1", "fe80::1"],
    "zero.test": ["0.0.0.0"],
    "scoped.test": ["fe80::1%lo"],
}

REFUSED = [
    # Plain.
    "http://127.0.0.1/",
    "http://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    "http://127.1.2.3/",
    "http://0.0.0.0:PORT/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1:8080/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    # Metadata services.
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://100.100.100.200/latest/meta-data/",
    "http://192.0.0.192/opc/v2/instance/",
    "http://168.63.129.16/metadata",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://metadata/computeMetadata/v1/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://METADATA.google.internal./computeMetadata/v1/",
    "http://instance-data.ec2.internal/",
    # Other spellings of an IPv4 address.
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0X7F.1:PORT/",
    "http://017700000001:PORT/",
    "http://00000177.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://0:PORT/",
    "http://0x0:PORT/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://0xa9.0376.0xa9.0376/latest/meta-data/",
    "http://3232235521/",
    # IPv6, with IPv4 inside.
    "http://[::1]:PORT/",
    "http://[::]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[fc00::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    # User information and other noise about the host.
    "http://example.org@127.0.0.1:PORT/",
    "http://example.org:80@127.0.0.1:PORT/",
    "http://example.org%2f@127.0.0.1:PORT/",
    "http://example.org%23@localhost:PORT/",
    "http://user:pass%40example.org@[::1]:PORT/",
    "http://127.0.0.1:PORT#@example.org/",
    "http://127.0.0.1:PORT?@example.org/",
    "http://127.0.0.1:PORT/@example.org",
    "HTTP://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://localhost.localdomain:PORT/",
    # Names that point inside, wholly or in part.
    "http://localtest.me:PORT/",
    "http://127.0.0.1.nip.io:PORT/",
    "http://bücher.test/",
    "http://kubernetes.default.svc/api",
    "http://host.docker.internal:2375/containers/json",
    "http://six.test/",
    "http://mapped.test/",
    "http://nat64.test/",
    "http://mixed.test/",
    "http://mixed6.test/",
    "http://zero.test:PORT/",
    "http://scoped.test/",
]

NEVER_SENT = [
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "ftp://127.0.0.1/",
    "gopher://127.0.0.1:PORT/_GET%20/",
    "dict://127.0.0.1:PORT/stat",
    "ws://127.0.0.1:PORT/",
    "unix:///var/run/docker.sock",
    "data:text/html,hello",
    "javascript:alert(1)",
    "//127.0.0.1:PORT/",
    "/relative",
    "http:///no-host",
    "http://",
    "http://127.0.0.1.:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://0300.0250.0.1/",
    "http://127.0.0.1\u3002/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://[::1%25lo]:PORT/",
    "http://[::1",
    "http://127.0.0.1:PORT\\@example.org/",
    "http://127.0.0.1:99999/",
    "http://a b/",
    "http://exa\tmple.org/",
    "http://" + "a" * 64 + ".test/",
    "http://" + "a." * 200 + "test/",
    "http://unknown.test/",
]


async def resolve(host: str, port: int) -> list[str]:
    """Answers for the names above; anything else must be a number, in any spelling."""
    if known := NAMES.get(host.removesuffix(".")):
        return known
    flags = socket.AI_NUMERICHOST
    found = await asyncio.get_running_loop().getaddrinfo(host, port, flags=flags)
    return [str(each[4][0]) for each in found]


class Trap:
    """A server on every loopback address that counts who comes."""

    def __init__(self) -> None:
        self.port = 0
        self.visits = 0

    def visit(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    """A trap that nobody may have walked into by the end of the test."""
    trap = Trap()
    async with await asyncio.start_server(trap.visit, "0.0.0.0", 0) as server:
        trap.port = server.sockets[0].getsockname()[1]
        yield trap
    assert trap.visits == 0


@pytest.mark.parametrize("url", REFUSED)
async def test_no_spelling_of_a_private_address_is_connected_to(url: str, trap: Trap) -> None:
    """A URL whose host is at an address that is not public is refused, however it is written."""
    async with outbound_client(resolver=resolve, timeout=2) as client:
        with pytest.raises(OutboundRefused, match="AWAITD_OUTBOUND_ALLOW") as caught:
            await client.get(url.replace("PORT", str(trap.port)))
    assert caught.value.host in str(caught.value)
    assert caught.value.address in str(caught.value)
    assert caught.value.request.method == "GET"


@pytest.mark.parametrize("url", NEVER_SENT)
async def test_what_is_no_url_of_the_web_is_never_sent(url: str, trap: Trap) -> None:
    """Other schemes, broken URLs and unknown names end in httpx's own errors."""
    async with outbound_client(resolver=resolve, timeout=2) as client:
        with pytest.raises((httpx.InvalidURL, httpx.TransportError)) as caught:
            await client.get(url.replace("PORT", str(trap.port)))
    assert type(caught.value).__module__ in ("httpx", "app.outbound")
