"""The guarded HTTP client of tasks and webhooks: it does not connect to private addresses.

A URL from outside may name this machine, its network or a cloud's metadata service. So each name
is resolved here, every address it has is judged, and the connection goes to the very address that
was judged: a name that changes its answer between check and connect gains nothing. That happens
for every connection, so for every redirect too.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

import httpcore
import httpx

from app.short_answers import shortened

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolver: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""From a host and port to its addresses, best first; raises OSError when there is none."""

# The registries of special addresses (RFC 6890 and its updates), written out because what
# `ipaddress` calls global differs between Python's patch releases.
_NOT_PUBLIC: Final = [
    ip_network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host: public by number, metadata by use
        "169.254.0.0/16",  # link-local, and most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved and broadcast
        "2001::/23",  # protocol assignments, with Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: withdrawn, and may hold any IPv4 address
        "3fff::/20",  # documentation
    )
]
_IPV6_UNICAST: Final = IPv6Network("2000::/3")  # all that has been given to the public so far
_NAT64: Final = IPv6Network("64:ff9b::/96")
_HOST: Final = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_ENDS_IN_NUMBER: Final = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)")


class OutboundRefused(httpx.TransportError):
    """Raised instead of connecting when a host has an address that is not public.

    Asking again is refused again. `host` is the name in the URL, `address` what it resolved to.
    """

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            f"not connecting to {host}: its address {address} is not public"
            " (the setting AWAITD_OUTBOUND_ALLOW lists what is let through all the same)"
        )
        self.host = host
        self.address = address


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Which hosts and networks are let through though they are not public: none unless listed."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    max_answer: int | None = None
    """Bytes that are read of an answer at most, its head included; more break the connection."""

    @classmethod
    def parse(cls, text: str) -> "OutboundPolicy":
        """A policy from a comma-separated list such as `localhost, 10.0.0.0/8, ::1`.

        A host stands for the name as written in the URL, whatever it resolves to; case and a
        trailing dot do not matter; ports are left out. Raises ValueError naming the first entry
        that is no host, address or network.
        """
        hosts: set[str] = set()
        networks: list[Network] = []
        for entry in filter(None, map(str.strip, text.split(","))):
            try:
                networks.append(ip_network(entry))
            except ValueError as error:
                hosts.add(_host_entry(entry, error))
        return cls(frozenset(hosts), tuple(networks))

    def allows(self, host: str, address: Address) -> bool:
        """Whether a connection to this address may be made for a URL with this host."""
        if is_public(address) or host.lower().removesuffix(".") in self.hosts:
            return True
        forms = {address, _unwrapped(address)}
        return any(form in network for network in self.networks for form in forms)


_STRICT: Final = OutboundPolicy()
outbound_policy: ContextVar[OutboundPolicy] = ContextVar("outbound_policy", default=_STRICT)
"""The policy in force where a connection is opened; the strict one unless set."""


def outbound_client(
    *,
    timeout: float = 10,
    headers: Mapping[str, str] | None = None,
    max_connections: int = 10,
    follow_redirects: bool = False,
    tls: ssl.SSLContext | None = None,
    resolver: Resolver | None = None,
) -> httpx.AsyncClient:
    """An HTTP client for URLs that come from outside; use it in `async with`.

    It speaks http and https, ignores proxy settings of the environment, and checks certificates
    against the host name (`tls` replaces the usual authorities). `timeout` (seconds) bounds each
    connect, read and write; requests over `max_connections` wait their turn without limit.

    Raises OutboundRefused when a host has an address that is not public and not allowed by
    `outbound_policy` where the connection is opened. One such address is enough: a public name
    has no honest reason to point inside, and a half-refused name would work by luck. For a URL
    or a redirect that is no address, httpx raises its InvalidURL or a UnicodeError.
    """
    pool = httpcore.AsyncConnectionPool(
        ssl_context=tls or _usual_authorities(),
        max_connections=max_connections,
        keepalive_expiry=5,
        network_backend=_GuardedNetwork(resolver or _system_resolver),
    )
    return httpx.AsyncClient(
        transport=_Transport(pool),
        timeout=httpx.Timeout(timeout, pool=None),
        headers={"User-Agent": "awaitd", **(headers or {})},
        follow_redirects=follow_redirects,
        trust_env=False,
    )


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    An IPv4 address inside an IPv6 one (mapped, or behind NAT64) is judged by itself. Old
    tunnels (6to4, Teredo) are never public, whatever they hold.
    """
    plain = _unwrapped(address)
    is_given = isinstance(plain, IPv4Address) or plain in _IPV6_UNICAST
    return is_given and not any(plain in block for block in _NOT_PUBLIC)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that a connection to this IPv6 address ends at, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _host_entry(entry: str, cause: ValueError) -> str:
    """A listed host in the form in which URLs carry it; raises ValueError for anything else."""
    try:
        host = httpx.URL(scheme="http", host=entry).raw_host.decode("ascii").removesuffix(".")
    except httpx.InvalidURL:
        host = ""
    if not _HOST.fullmatch(host) or _ENDS_IN_NUMBER.fullmatch(host):
        reason = "is no host, address or network (no ports; the host bits of a network are 0)"
        raise ValueError(f"{entry!r} {reason}") from cause
    return host


@cache
def _usual_authorities() -> ssl.SSLContext:
    """Reading the authorities takes 20 ms of a blocked event loop: once a process is enough."""
    return httpx.create_ssl_context()


async def _system_resolver(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore's pool, which then checks TLS against the URL's name."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address of the host that answers."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._allowed_addresses(host, port)
                return await self._first_to_answer(addresses, port, timeout)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} did not answer in time") from error

    async def _allowed_addresses(self, host: str, port: int) -> list[Address]:
        try:
            found = [ip_address(each) for each in await self._resolver(host, port)]
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no known address: {error}") from error
        policy = outbound_policy.get()
        for address in found:
            if not policy.allows(host, address):
                raise OutboundRefused(host, str(address))
        return found

    async def _first_to_answer(
        self, addresses: list[Address], port: int, timeout: float | None
    ) -> httpcore.AsyncNetworkStream:
        """Tries one after the other; each has its share of the time, lest a dead one take all."""
        share = None if timeout is None else timeout / max(1, len(addresses))
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(str(address), port, share)
                return shortened(stream, outbound_policy.get().max_answer)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Transport(httpx.AsyncBaseTransport):
    """What httpx's own transport does over a pool, which it lets nobody choose."""

    def __init__(self, pool: httpcore.AsyncConnectionPool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"only http and https, not {request.url.scheme!r}")
        with _errors_of_httpx():
            response = await self._pool.handle_async_request(_core_request(request))
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=dict(response.extensions),
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response as it arrives; closing it gives the connection back."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


def _core_request(request: httpx.Request) -> httpcore.Request:
    assert isinstance(request.stream, httpx.AsyncByteStream)
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Raises what httpcore raises as its namesake in httpx."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        namesake: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise namesake(str(error)) from error
