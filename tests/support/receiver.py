"""A receiver of webhooks: a real web server that answers as it is told."""

import queue
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from standardwebhooks import Webhook

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLasw"
PATIENCE: Final = 20.0


@dataclass(frozen=True)
class Answer:
    """What a request gets: no status at all drops its connection."""

    status: int | None = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs: bool = False
    """Until the receiver closes."""
    drips: bool = False
    """Its body comes byte by byte and has no end; without a status, so do its headers."""


@dataclass(frozen=True)
class Message:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """The port that it came from."""

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str = SECRET) -> Any:
        """What it says; raises unless it is signed with the secret, and new."""
        return Webhook(secret).verify(self.body, dict(self.headers))


class Receiver:
    """Takes webhooks on 127.0.0.1 while it is open; answers in turn, then with 204."""

    def __init__(self, *answers: Answer, port: int = 0) -> None:
        self.answers = deque(answers)
        self.others = Answer()
        """What comes after the answers."""
        self._came: queue.Queue[Message] = queue.Queue()
        self._server = _Server(self, port)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.closing = threading.Event()
        self.open = self.most_open = 0
        """How many requests are being answered; how many were at once at the most."""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def message(self) -> Message:
        """The next message that came, waited for."""
        return self._came.get(timeout=PATIENCE)

    def has_message(self) -> bool:
        """Whether one has come that was not looked at."""
        return not self._came.empty()

    def take(self, message: Message) -> Answer:
        """Note what came; gives what it gets."""
        with self._lock:
            self.open += 1
            self.most_open = max(self.open, self.most_open)
            answer = self.answers.popleft() if self.answers else self.others
        self._came.put(message)
        return answer

    def answered(self) -> None:
        """A request has been answered."""
        with self._lock:
            self.open -= 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 200

    def __init__(self, receiver: Receiver, port: int) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hung up early is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the attempt was cut off
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver = self._receiver
        answer = receiver.take(Message(self.path, headers, body, self.client_address[1]))
        try:
            self._give(answer, receiver.closing)
        finally:
            receiver.answered()

    @property
    def _receiver(self) -> Receiver:
        assert isinstance(self.server, _Server)
        return self.server.receiver

    def _give(self, answer: Answer, closing: threading.Event) -> None:
        if answer.hangs:
            closing.wait()
        self.close_connection = answer.hangs or answer.status is None
        if not self.close_connection:
            self._say(answer)
        if answer.drips and answer.status is None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nEndless: ")
        while answer.drips and not closing.wait(0.02):
            self.wfile.write(b"a")

    def _say(self, answer: Answer) -> None:
        assert answer.status is not None
        self.send_response(answer.status)
        length = 1_000_000 if answer.drips else len(answer.body)
        for name, value in {"Content-Length": str(length), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
