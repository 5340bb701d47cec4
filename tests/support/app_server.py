"""An app of a test's own, served over HTTP by a thread of the test's process."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.types import ASGIApp


@contextmanager
def serving(
    app: ASGIApp,
    *,
    root_path: str = "",
    prepare: Callable[[socket.socket], None] = lambda listener: None,
) -> Iterator[httpx.Client]:
    """A client of the app while the block runs, as behind a proxy that takes `root_path` away."""
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="off",
        root_path=root_path,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        prepare(listener)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, verify=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
