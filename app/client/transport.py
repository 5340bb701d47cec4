"""How requests travel: over httpx and nowhere else, each with the attempts that it is worth."""

import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import stamina

from app import __version__
from app.client.errors import Unreachable, Untrusted, problem_error
from app.client.patience import Patience
from app.client.wire import Answer, Request

DEFAULT_URL: Final = "http://127.0.0.1:8000"

_CONNECT_WITHIN: Final = 5.0
_ANSWER_WITHIN: Final = 10.0
"""Seconds for one attempt, beside what the service was asked to wait."""

_SILENT_FOR: Final = 30.0
"""Seconds without a byte after which a stream is given up: the service says something every 15."""

_IDLE_FOR: Final = 4.0
"""Seconds that a connection is kept for the next request; the service closes it after 5."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is, with which key it is asked, and for how long in all."""

    url: str
    api_key: str | None = field(repr=False)
    timeout: float

    @classmethod
    def of(cls, url: str | None, api_key: str | None, timeout: float) -> "Service":
        """What is given, or else in the environment; raises `ValueError` for what cannot be."""
        url = (url or os.environ.get("AWAITD_URL") or DEFAULT_URL).rstrip("/")
        if not _is_url(url):
            raise ValueError(f"{url!r} is no URL of a service, such as {DEFAULT_URL}")
        api_key = api_key or os.environ.get("AWAITD_API_KEY") or None
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key has characters that no key has")
        if not timeout > 0:
            raise ValueError("timeout is a number of seconds above 0")
        return cls(url, api_key, timeout)

    def settings(self) -> dict[str, Any]:
        """What httpx is to know. No proxy is asked, and redirects are not followed."""
        headers = {"Accept": "application/json", "User-Agent": f"awaitd/{__version__}"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        is_secure = self.url.startswith("https:")
        return {
            "headers": headers,
            # The system's certificates, and only where they are needed: they take long to read.
            "verify": ssl.create_default_context() if is_secure else False,
            "trust_env": False,
            # Each wait is a connection; the service, not the client, says how many there may be.
            "limits": httpx.Limits(
                max_connections=None, max_keepalive_connections=100, keepalive_expiry=_IDLE_FOR
            ),
        }

    def patience(self, request: Request) -> Patience:
        """The attempts that a request is worth."""
        seconds = self.timeout + request.wait
        return Patience(seconds if request.within is None else min(seconds, request.within))

    def parts(self, request: Request, patience: Patience, *, streams: bool) -> dict[str, Any]:
        """One attempt of a request, as httpx wants it."""
        read = _SILENT_FOR if streams else min(_ANSWER_WITHIN + request.wait, patience.left)
        return {
            "method": request.method,
            "url": self.url + request.target,
            "headers": request.headers,
            "content": request.body,
            "timeout": httpx.Timeout(read, connect=min(_CONNECT_WITHIN, patience.left)),
        }

    @contextmanager
    def errors(self) -> Iterator[None]:
        """What httpx raises comes as `Unreachable`, or as `Untrusted`, which no time mends.

        Raises `ValueError` for a request that is none.
        """
        try:
            yield
        except httpx.LocalProtocolError as error:  # it was never sent, and never will be
            raise ValueError(f"this cannot be sent: {error}") from error
        except httpx.RequestError as error:
            what = str(error) or type(error).__name__
            if _is_untrusted(error):
                raise Untrusted(f"{self.url} is not to be trusted: {what}") from error
            raise Unreachable(f"no answer from {self.url}: {what}") from error


class Transport:
    """Sends requests of any thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._http = httpx.Client(**service.settings())

    def send(self, request: Request) -> Answer:
        """The answer to a request; raises `AwaitdError`."""
        patience = self._service.patience(request)
        for attempt in stamina.retry_context(patience, attempts=None, timeout=None):
            with attempt, self._service.errors():
                parts = self._service.parts(request, patience, streams=False)
                return _checked(self._http.request(**parts), patience)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, request: Request) -> Iterator[Iterator[bytes] | None]:
        """The bytes of a stream until it is cut off, None if there is no more to come.

        Raises `AwaitdError`.
        """
        answer = self._open(request)
        try:
            yield None if answer.status_code == 204 else _chunks(answer)
        finally:
            answer.close()

    def close(self) -> None:
        """Let go of all connections."""
        self._http.close()

    def _open(self, request: Request) -> httpx.Response:
        patience = self._service.patience(request)
        for attempt in stamina.retry_context(patience, attempts=None, timeout=None):
            with attempt, self._service.errors():
                parts = self._service.parts(request, patience, streams=True)
                answer = self._http.send(self._http.build_request(**parts), stream=True)
                if not answer.is_success:
                    answer.read()
                    _checked(answer, patience)
                return answer
        raise AssertionError("the last attempt returns or raises")


class AsyncTransport:
    """Sends requests of one event loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._http = httpx.AsyncClient(**service.settings())

    async def send(self, request: Request) -> Answer:
        """The answer to a request; raises `AwaitdError`."""
        patience = self._service.patience(request)
        async for attempt in stamina.retry_context(patience, attempts=None, timeout=None):
            with attempt, self._service.errors():
                parts = self._service.parts(request, patience, streams=False)
                return _checked(await self._http.request(**parts), patience)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[bytes] | None]:
        """The bytes of a stream until it is cut off, None if there is no more to come.

        Raises `AwaitdError`.
        """
        answer = await self._open(request)
        try:
            yield None if answer.status_code == 204 else _async_chunks(answer)
        finally:
            await answer.aclose()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._http.aclose()

    async def _open(self, request: Request) -> httpx.Response:
        patience = self._service.patience(request)
        async for attempt in stamina.retry_context(patience, attempts=None, timeout=None):
            with attempt, self._service.errors():
                parts = self._service.parts(request, patience, streams=True)
                answer = await self._http.send(self._http.build_request(**parts), stream=True)
                if not answer.is_success:
                    await answer.aread()
                    _checked(answer, patience)
                return answer
        raise AssertionError("the last attempt returns or raises")


def _checked(answer: httpx.Response, patience: Patience) -> Answer:
    """The answer; raises `ProblemError` if it is an error, or a redirect, which is none of ours."""
    headers: Mapping[str, str] = {name.lower(): text for name, text in answer.headers.items()}
    status = answer.status_code
    if status >= 300:
        raise problem_error(status, headers, answer.content, repeated=patience.repeated)
    return Answer(status, headers, answer.content)


def _chunks(answer: httpx.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_bytes()
    except httpx.RequestError:
        return


async def _async_chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    except httpx.RequestError:
        return


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
