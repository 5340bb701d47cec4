from collections.abc import Iterator

import pytest

from tests.support.postgres import drop_database, new_database


@pytest.fixture
def url() -> Iterator[str]:
    """A database of the test's own, with our schema."""
    url = new_database()
    yield url
    drop_database(url)


@pytest.fixture
def empty_url() -> Iterator[str]:
    """A database of the test's own, with nothing in it."""
    url = new_database(migrated=False)
    yield url
    drop_database(url)
