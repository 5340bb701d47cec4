import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from app.outbound import outbound_client
from tests.outbound.loopback import FakeNames, allowing, listening
from tests.support.certificate import self_signed


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `named.test`, in one file with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"), "DNS:named.test")


async def test_tls_is_checked_against_the_name(certificate: Path) -> None:
    """A certificate must be of a known authority and for the name in the URL."""
    # In debug mode the loop of the server would report each handshake that the client breaks off.
    asyncio.get_running_loop().set_debug(False)
    trusting = ssl.create_default_context(cafile=certificate)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    names = FakeNames(named=[["127.0.0.1"]], other=[["127.0.0.1"]])
    async with AsyncExitStack() as stack:
        stack.enter_context(allowing("127.0.0.1"))
        server = await stack.enter_async_context(listening("127.0.0.1", serving))
        client = await stack.enter_async_context(outbound_client(resolver=names, tls=trusting))
        plain = await stack.enter_async_context(outbound_client(resolver=names))
        assert (await client.get(f"https://named.test:{server.port}/")).text == "ok"
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            await client.get(f"https://other.test:{server.port}/")
        with pytest.raises(httpx.ConnectError, match="self-signed"):
            await plain.get(f"https://named.test:{server.port}/")
