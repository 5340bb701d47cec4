from collections.abc import Iterator
from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("psycopg") else ["test_*.py"]


@pytest.fixture
def url() -> Iterator[str]:
    """A database of the test's own, with our schema."""
    from tests.support.postgres import drop_database, new_database

    url = new_database()
    yield url
    drop_database(url)


@pytest.fixture
def empty_url() -> Iterator[str]:
    """A database of the test's own, with nothing in it."""
    from tests.support.postgres import drop_database, new_database

    url = new_database(migrated=False)
    yield url
    drop_database(url)
