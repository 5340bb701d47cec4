"""What becomes of changes that the database refuses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import psycopg
import pytest

from app.engines.postgres import writer as writers
from app.engines.postgres.writer import Change, Rows, Writer
from app.jobs.errors import StoreUnavailable
from tests.support.postgres import conninfo

SCHEMA: Final = """
CREATE SEQUENCE tries;
CREATE TABLE written (nth serial, what text);
CREATE FUNCTION write_at(_try integer, _code text, _what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') < _try THEN
        RAISE 'not yet' USING ERRCODE = _code;
    END IF;
    INSERT INTO written (what) VALUES (_what);
    RETURN _what;
END $$
"""
WRITE: Final = "SELECT write_at(%s, %s, %s)"


@pytest.fixture
async def writer(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Writer]:
    """One that tries again soon what must not be lost."""
    monkeypatch.setattr(writers, "_KEPT_FOR", 0.01)
    with psycopg.connect(conninfo(url)) as db:
        db.execute(SCHEMA.encode())
    writer = Writer(url, lambda: None)
    await writer.open()
    yield writer
    await writer.close()


def kept(given: list[Rows], *values: object) -> Change:
    """A change that must not be lost."""
    return Change(WRITE, values, given.append)


@pytest.mark.parametrize("code", ["25006", "22000", "42501", "40001", "57P01"])
async def test_kept(writer: Writer, code: str) -> None:
    """Whatever refuses it, what must not be lost is made in the end, and only then answered."""
    given: asyncio.Future[Rows] = asyncio.get_running_loop().create_future()
    writer.queue(Change(WRITE, (4, code, "a"), given.set_result))
    assert await asyncio.wait_for(given, 10) == [("a",)]


async def test_clash_at_the_end(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    """Others were quicker: it is made all the same, while closing too, and is no error."""
    given: list[Rows] = []
    writer.queue(kept(given, 4, "40P01", "a"))
    await writer.close()
    assert (given, writer.error, caplog.text) == ([[("a",)]], None, "")


async def test_order(writer: Writer, url: str) -> None:
    """A failure after something wrong was found leaves the others in their order."""
    asked = [writer.make("SELECT wrong", ())]
    asked += [writer.make(WRITE, (2, "57P01", what)) for what in "abc"]
    wrong, *_ = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(wrong, StoreUnavailable)
    with psycopg.connect(conninfo(url)) as db:
        assert db.execute("SELECT what FROM written ORDER BY nth").fetchall() == [
            *map(tuple, "abc")
        ]
