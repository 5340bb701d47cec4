import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import httpx
import pytest

from app.outbound import OutboundRefused, outbound_client
from tests.outbound.loopback import CLOSING, SILENCE, FakeNames, Loopback, allowing, redirect


async def never_answers(host: str, port: int) -> list[str]:
    """A resolver whose name server is gone."""
    await asyncio.Event().wait()
    return [host]


async def test_an_allowed_host_is_reached(loopback: Loopback) -> None:
    """A host that is listed answers as with any HTTP client, under our own name."""
    with allowing("localhost"):
        async with outbound_client(headers={"X-Extra": "1"}) as client:
            response = await client.get(f"http://localhost:{loopback.port}/a%20b?c=d#e")
    assert (response.status_code, response.text) == (200, "ok")
    head = loopback.heads[0].lower()
    assert head.startswith("get /a%20b?c=d http/1.1\r\n")
    assert f"host: localhost:{loopback.port}\r\n" in head
    assert "user-agent: awaitd\r\n" in head
    assert "x-extra: 1\r\n" in head


async def test_a_body_is_sent(loopback: Loopback) -> None:
    """A request's body arrives as it was given."""
    with allowing("127.0.0.1"):
        async with outbound_client() as client:
            await client.post(f"http://127.0.0.1:{loopback.port}/", json={"a": 1})
    assert json.loads(loopback.bodies[0]) == {"a": 1}


async def test_the_policy_is_the_one_where_the_connection_is_opened(loopback: Loopback) -> None:
    """A client made before or after a policy was set follows the policy of the caller."""
    loopback.answers["/"] = CLOSING
    url = f"http://127.0.0.1:{loopback.port}/"
    async with outbound_client() as client:
        with pytest.raises(OutboundRefused):
            await client.get(url)
        with allowing("127.0.0.0/8"):
            assert (await client.get(url)).text == "ok"
        with pytest.raises(OutboundRefused):
            await client.get(url)
    assert loopback.connections == 1


async def test_the_error_carries_what_was_refused() -> None:
    """A refusal has the host as written and the address that it turned out to be."""
    names = FakeNames(inside=[["10.0.0.5"]])
    async with outbound_client(resolver=names) as client:
        with pytest.raises(httpx.RequestError) as caught:
            await client.get("http://inside.test/")
    assert isinstance(caught.value, OutboundRefused)
    assert (caught.value.host, caught.value.address) == ("inside.test", "10.0.0.5")


async def test_a_rebinding_name_is_judged_at_each_connect(loopback: Loopback) -> None:
    """A name is resolved once for each connection, which goes to the very address judged."""
    loopback.answers["/"] = CLOSING
    names = FakeNames(rebinding=[["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]])
    url = f"http://rebinding.test:{loopback.port}/"
    with allowing("127.0.0.1"):
        async with outbound_client(resolver=names) as client:
            assert (await client.get(url)).text == "ok"
            assert len(names.asked) == 1
            with pytest.raises(OutboundRefused, match=r"127\.0\.0\.2"):
                await client.get(url)
            assert (await client.get(url)).text == "ok"
    assert (len(names.asked), loopback.connections) == (3, 2)


@pytest.mark.parametrize("answer", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]])
async def test_one_refused_address_refuses_the_name(answer: list[str], loopback: Loopback) -> None:
    """A name with an address that is not allowed is refused, wherever in the list that stands."""
    with allowing("127.0.0.1"):
        async with outbound_client(resolver=FakeNames(mixed=[answer])) as client:
            with pytest.raises(OutboundRefused, match=r"10\.0\.0\.1"):
                await client.get(f"http://mixed.test:{loopback.port}/")
    assert loopback.connections == 0


async def test_a_redirect_inside_is_refused(loopback: Loopback) -> None:
    """A host that may be asked cannot send the client to one that may not."""
    loopback.answers["/"] = redirect(f"http://127.0.0.1:{loopback.port}/secret")
    with allowing("site.test"):
        async with outbound_client(
            resolver=FakeNames(site=[["127.0.0.1"]]), follow_redirects=True
        ) as client:
            with pytest.raises(OutboundRefused) as caught:
                await client.get(f"http://site.test:{loopback.port}/")
    assert caught.value.host == "127.0.0.1"
    assert len(loopback.heads) == 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://site.test/", "ws://site.test/"])
async def test_a_redirect_to_another_scheme_is_refused(location: str, loopback: Loopback) -> None:
    """Nothing but http and https is followed."""
    loopback.answers["/"] = redirect(location)
    with allowing("127.0.0.1"):
        async with outbound_client(follow_redirects=True) as client:
            with pytest.raises(httpx.UnsupportedProtocol, match="only http and https"):
                await client.get(f"http://127.0.0.1:{loopback.port}/")


async def test_redirects_are_not_followed_unasked(loopback: Loopback) -> None:
    """By default a redirect is an answer like any other."""
    loopback.answers["/"] = redirect("/next")
    with allowing("127.0.0.1"):
        async with outbound_client() as client:
            response = await client.get(f"http://127.0.0.1:{loopback.port}/")
    assert (response.status_code, response.headers["Location"]) == (302, "/next")


async def test_the_next_address_is_tried(loopback: Loopback) -> None:
    """When nothing listens at a host's first address, its next one is used."""
    with allowing("127.0.0.0/8"):
        async with outbound_client(resolver=FakeNames(two=[["127.0.0.9", "127.0.0.1"]])) as client:
            assert (await client.get(f"http://two.test:{loopback.port}/")).text == "ok"


async def test_a_dead_address_leaves_time_for_the_next(loopback: Loopback) -> None:
    """An address that does not answer at all uses up its share of the timeout only."""
    names = FakeNames(two=[["127.0.0.9", "127.0.0.1"]])
    with deaf("127.0.0.9", loopback.port), allowing("127.0.0.0/8"):
        async with outbound_client(resolver=names, timeout=1) as client:
            assert (await client.get(f"http://two.test:{loopback.port}/")).text == "ok"


@contextmanager
def deaf(host: str, port: int) -> Iterator[None]:
    """A port whose queue of connections is full, so that Linux leaves new ones unanswered."""
    with socket.create_server((host, port), backlog=0), socket.create_connection((host, port)):
        yield


async def test_no_address_answers() -> None:
    """A host nobody listens at is a ConnectError, one without address too."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    names = FakeNames(gone=[["127.0.0.1"]], empty=[[]])
    with allowing("127.0.0.1"):
        async with outbound_client(resolver=names) as client:
            for host in ("gone.test", "empty.test"):
                with pytest.raises(httpx.ConnectError):
                    await client.get(f"http://{host}:{port}/")


async def test_the_timeout_covers_the_resolver() -> None:
    """A name server that does not answer is a ConnectTimeout."""
    async with outbound_client(resolver=never_answers, timeout=0.01) as client:
        with pytest.raises(httpx.ConnectTimeout, match=r"slow\.test did not answer in time"):
            await client.get("http://slow.test/")


async def test_a_silent_server_times_out(loopback: Loopback) -> None:
    """A server that accepts and then says nothing is a ReadTimeout."""
    loopback.answers["/"] = SILENCE
    with allowing("127.0.0.1"):
        async with outbound_client(timeout=0.5) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(f"http://127.0.0.1:{loopback.port}/")


@pytest.mark.parametrize(
    "answer",
    [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)
async def test_a_broken_answer_is_an_error_of_httpx(answer: bytes, loopback: Loopback) -> None:
    """What a server does wrong, in the head or in the body, is a RemoteProtocolError."""
    loopback.answers["/"] = answer
    with allowing("127.0.0.1"):
        async with outbound_client() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{loopback.port}/")


def test_each_error_of_httpcore_has_its_namesake() -> None:
    """Every error that a connection can raise has an error of httpx to become."""
    families = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
    for family in families:
        for error in (family, *family.__subclasses__()):
            assert issubclass(getattr(httpx, error.__name__), httpx.TransportError)


async def test_connections_are_kept_and_shared(loopback: Loopback) -> None:
    """Requests over the limit wait for a connection that is in use, and use it again."""
    url = f"http://127.0.0.1:{loopback.port}/"
    with allowing("127.0.0.1"):
        async with outbound_client(max_connections=1) as client, asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(client.get(url))
    assert (loopback.connections, len(loopback.heads)) == (1, 5)


async def test_a_streamed_answer_can_be_left_early(loopback: Loopback) -> None:
    """Leaving a response half read closes its connection; the client goes on."""
    loopback.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nstart"
    with allowing("127.0.0.1"):
        async with outbound_client(max_connections=1) as client:
            async with client.stream("GET", f"http://127.0.0.1:{loopback.port}/") as response:
                assert await anext(response.aiter_raw()) == b"start"
            assert (await client.get(f"http://127.0.0.1:{loopback.port}/ok")).text == "ok"
    assert loopback.connections == 2


async def test_proxies_of_the_environment_are_ignored(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect on its own account: the environment cannot put one in."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{loopback.port}")
    with allowing("127.0.0.1"):
        async with outbound_client(resolver=FakeNames(inside=[["10.0.0.5"]])) as client:
            with pytest.raises(OutboundRefused):
                await client.get("http://inside.test/")
    assert loopback.connections == 0
