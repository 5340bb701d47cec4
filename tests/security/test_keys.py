"""The file of keys, and what makes one."""

import json
import threading
from pathlib import Path

import pytest

from app.keys import ADMIN, CANCEL, READ, SUBMIT, BadKeys, InvalidKey, KeyFile, Keys

KEPT = {"id": "0" * 8, "owner": "anna", "sha256": "0" * 64, "scopes": [READ], "created_at": 1}


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    """A file that is not there yet, in a folder that is not there either."""
    return KeyFile(tmp_path / "data")


def opened(file: KeyFile, now: float = 0.0) -> Keys:
    """The keys of a file as a server sees them."""
    keys = Keys(file.path.parent, lambda: now)
    keys.open()
    return keys


def test_only_the_hash_is_kept(file: KeyFile) -> None:
    """What is needed to use a key is not in the file."""
    key = file.add("anna")
    assert key.startswith("awaitd_")
    assert len(key) > 50
    assert key.split("_", 2)[2] not in file.path.read_text()
    found = opened(file).find(key)
    assert found is not None
    assert (found.owner, found.scopes) == ("anna", (SUBMIT, READ, CANCEL))


def test_no_two_are_equal(file: KeyFile) -> None:
    """Every key is another, and each is found."""
    made = [file.add("anna") for _ in range(20)]
    assert len(set(made)) == 20
    keys = opened(file)
    assert len({found.id for key in made if (found := keys.find(key))}) == 20


def test_nobody_else_gets_in(file: KeyFile) -> None:
    """A key whose id is known and whose secret is another's is none."""
    one, two = file.add("anna"), file.add("bob")
    mixed = one[:16] + two[16:]
    keys = opened(file)
    assert keys.find(mixed) is None
    assert keys.find(one.upper()) is None
    assert keys.find(one + "x") is None
    assert keys.find("") is None


def test_expiry(file: KeyFile) -> None:
    """A key is none from the second in which it expires."""
    key = file.add("anna", days=2)
    made = file.read()[0]
    assert made.expires_at == made.created_at + 2 * 86_400
    assert opened(file, made.expires_at - 0.1).find(key) is not None
    assert opened(file, made.expires_at).find(key) is None
    assert not opened(file, made.expires_at).still_allows(made, READ)


@pytest.mark.parametrize("owner", ["", "a" * 65, "a b", "a\n", "ä", "../x"])
def test_names(file: KeyFile, owner: str) -> None:
    """An owner's name is short and plain; what is none leaves no file behind."""
    with pytest.raises(InvalidKey, match="1 to 64"):
        file.add(owner)
    assert not file.path.exists()


@pytest.mark.parametrize(
    "scope", ["", "write", "submit:", "submit:a b", "Admin", "submit:" + "a" * 65]
)
def test_scopes(file: KeyFile, scope: str) -> None:
    """A scope that there is not is refused by name."""
    with pytest.raises(InvalidKey, match="there is no scope"):
        file.add("anna", (READ, scope))


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf"), 1e9])
def test_days(file: KeyFile, days: float) -> None:
    """A key lives for some days."""
    with pytest.raises(InvalidKey, match="expires"):
        file.add("anna", days=days)


def test_a_key_for_nothing(file: KeyFile) -> None:
    """There is no key without scopes."""
    with pytest.raises(InvalidKey, match="no use"):
        file.add("anna", ())


def test_what_scopes_allow(file: KeyFile) -> None:
    """Admin is for everything; submit:TASK for that task only."""
    file.add("a", (ADMIN,))
    file.add("b", ("submit:sleep", READ))
    admin, sleeper = file.read()
    assert all(admin.allows(scope) for scope in (SUBMIT, READ, CANCEL, ADMIN))
    assert admin.allows_task("anything")
    assert sleeper.allows(READ)
    assert not sleeper.allows(SUBMIT)
    assert sleeper.allows_task("sleep")
    assert not sleeper.allows_task("sleeper")


def test_removing(file: KeyFile) -> None:
    """A key is removed by its id, all of an owner by the name, and what is not there is said."""
    for owner in ("anna", "anna", "bob"):
        file.add(owner)
    first = file.read()[0]
    assert file.remove(first.id) == (first,)
    assert [key.owner for key in file.remove("anna")] == ["anna"]
    assert [key.owner for key in file.read()] == ["bob"]
    with pytest.raises(BadKeys, match="no key and no owner 'anna'"):
        file.remove("anna")


def test_adding_at_once(file: KeyFile) -> None:
    """Keys that are added at the same time are all there."""
    threads = [threading.Thread(target=file.add, args=(f"owner{n}",)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.owner for key in file.read()} == {f"owner{n}" for n in range(16)}
    assert sorted(path.name for path in file.path.parent.iterdir()) == [
        "keys.json",
        "keys.json.lock",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"keys": [1]}', '{"keys": [{"id": "x"}]}', '{"keys": 1}', "\xff"),
        *(
            json.dumps({"keys": [KEPT | changed]})
            for changed in ({"expires_at": "2027-01-01"}, {"scopes": "admin"}, {"owner": 7})
        ),
    ],
)
def test_a_damaged_file_is_refused(file: KeyFile, text: str) -> None:
    """A file that is none of keys is an error with its name, and is not overwritten."""
    file.add("anna")
    file.path.write_bytes(text.encode("latin-1"))
    for use in (file.read, lambda: file.add("bob"), lambda: opened(file)):
        with pytest.raises(BadKeys, match=r"keys\.json cannot be read"):
            use()
    assert file.path.read_bytes() == text.encode("latin-1")


def test_a_file_that_could_not_be_read_is_read_again(file: KeyFile) -> None:
    """What kept it from being read may pass: a removed key does not live on."""
    key = file.add("anna")
    times = [0.0]
    keys = Keys(file.path.parent, lambda: times[0])
    keys.open()
    file.remove("anna")
    text = file.path.read_text()
    file.path.unlink()
    file.path.mkdir()
    assert keys.find(key) is not None
    file.path.rmdir()
    file.path.write_text(text)
    times[0] += 2
    assert keys.find(key) is None


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Where no file can be made, the message says so."""
    (tmp_path / "file").touch()
    with pytest.raises(BadKeys, match="cannot be written"):
        KeyFile(tmp_path / "file").add("anna")


def test_without_a_file_there_are_none_in_use(file: KeyFile) -> None:
    """Keys are in use from the first one on, and for good."""
    keys = opened(file)
    assert (keys.in_use, keys.still_allows(None, READ)) == (False, True)
    file.add("anna")
    assert (keys.in_use, keys.still_allows(None, READ)) == (True, False)
    file.path.unlink()
    assert (keys.in_use, keys.still_allows(None, READ)) == (True, False)


def test_scopes_are_read_again(file: KeyFile) -> None:
    """A key that has lost a scope does not keep it for those who were let in."""
    file.add("anna")
    keys, anna = opened(file), file.read()[0]
    assert keys.still_allows(anna, READ)
    kept = json.loads(file.path.read_text())
    kept["keys"][0]["scopes"] = [SUBMIT]
    file.path.write_text(json.dumps(kept))
    assert not keys.still_allows(anna, READ)
    assert keys.still_allows(anna, SUBMIT)
