"""How finished jobs leave the journal: by their age alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from app.engines.embedded.rows import Row
from app.jobs.figures import Kind
from app.jobs.models import Millis
from app.jobs.stored import STATUSES
from app.jobs.texts import to_json

_DUE: Final = "(SELECT value FROM json_each(?))"
_DELETIONS: Final = (
    "DELETE FROM labels WHERE (name, value, high) IN (SELECT label.key, label.value, high "
    f"FROM jobs, json_each(jobs.labels) AS label WHERE high IN {_DUE})",
    *(
        f"DELETE FROM {table} WHERE high IN {_DUE}"
        for table in ("attempts", "logs", "deliveries", "jobs")
    ),
)


@dataclass(frozen=True, slots=True)
class RemoveExpired:
    """Finished jobs that ended before `before` leave the journal, the earliest ended first.

    Jobs that ended after `now` did so before the clock was set back: they hold up no others.
    """

    before: Millis
    now: Millis
    limit: int
    _due: list[Row] = field(default_factory=list, init=False)

    def run(self, db: apsw.Connection) -> Mapping[Kind, int]:
        """Gives how many were removed; fewer than `limit` in all means that none is left."""
        earliest: Any = db.execute(
            "SELECT high, version, finished_at, owner, task, status "
            "FROM jobs INDEXED BY jobs_finished "
            "WHERE status > 1 AND finished_at <= ? ORDER BY version LIMIT ?",
            (self.now, self.limit),
        ).fetchall()
        self._due[:] = due = [row for row in earliest if row[2] < self.before]
        if due:
            keys = to_json([row[0] for row in due]).decode()
            for sql in _DELETIONS:
                db.execute(sql, (keys,))
            db.execute(
                "UPDATE marks SET newest_removed = max(newest_removed, ?), "
                "last_version = max(last_version, ?)",
                (max(row[0] for row in due), max(row[1] for row in due)),
            )
        return self._removed()

    def happened(self, db: apsw.Connection) -> Mapping[Kind, int] | None:
        """Gives how many were removed if they were: all of them are gone, or none is."""
        if not self._due:
            return None
        left = db.execute("SELECT 1 FROM jobs WHERE high = ?", self._due[0][:1]).fetchone()
        return self._removed() if left is None else None

    def _removed(self) -> Mapping[Kind, int]:
        return Counter((owner, task, STATUSES[code]) for *_, owner, task, code in self._due)
