"""The journal's schema, as numbered SQL files; `PRAGMA user_version` says how far a file is."""

from importlib.resources import files

import apsw


class NewerSchema(Exception):
    """Raised for a journal that a newer awaitd has written."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(f"its schema is version {found}; this awaitd knows up to {known}")


def migrate(db: apsw.Connection) -> None:
    """Bring the schema up to date, each step in a transaction; raises `NewerSchema`."""
    folder = files(__package__)
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    found = db.pragma("user_version")
    if found > len(names):
        raise NewerSchema(found, len(names))
    for version, name in enumerate(names[found:], found + 1):
        with db:
            db.execute((folder / name).read_text())
            db.pragma("user_version", version)
