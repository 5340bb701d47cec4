-- Times are milliseconds since the Unix epoch, UTC.
-- Statuses: 0 pending, 1 running, 2 completed, 3 failed, 4 cancelled.

CREATE TABLE jobs (
    -- The two halves of the UUIDv7. The upper one is unique here, ordered by time, and holds the
    -- time of creation, so that it serves as the key of the table and of every index.
    high INTEGER PRIMARY KEY,
    low INTEGER NOT NULL,
    -- The store-wide change number of the last committed change of this job.
    version INTEGER NOT NULL,
    status INTEGER NOT NULL,
    task TEXT NOT NULL,
    owner TEXT,
    priority INTEGER NOT NULL,
    timeout REAL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    start_by INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    cancel_requested_at INTEGER,
    traceparent TEXT,
    -- Who wants to be told of its end: a JSON array of the URL, its host and port, and statuses.
    webhook TEXT,
    idempotency_key TEXT,
    fingerprint BLOB,
    labels TEXT,
    error TEXT,
    params BLOB NOT NULL,
    result BLOB
) STRICT;

CREATE INDEX jobs_by_status ON jobs (status);
CREATE INDEX jobs_by_task ON jobs (task, status);

-- What changed since a given change, and, as it is nearly the order of their end, what expires.
CREATE INDEX jobs_finished ON jobs (version) WHERE status > 1;
CREATE INDEX jobs_unfinished ON jobs (version) WHERE status < 2;

CREATE UNIQUE INDEX jobs_by_key ON jobs (coalesce(owner, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- The attempts before the one that stands in the job itself.
CREATE TABLE attempts (
    high INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    error TEXT,
    PRIMARY KEY (high, number)
) STRICT, WITHOUT ROWID;

-- The last lines that a job's coroutine wrote, as a JSON array of [number, time, attempt, message].
CREATE TABLE logs (
    high INTEGER PRIMARY KEY,
    lines TEXT NOT NULL
) STRICT;

CREATE TABLE labels (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    high INTEGER NOT NULL,
    PRIMARY KEY (name, value, high)
) STRICT, WITHOUT ROWID;

-- The telling of a job's end by its webhook.
CREATE TABLE deliveries (
    high INTEGER PRIMARY KEY,
    receiver TEXT NOT NULL,
    -- Since when it has been pending.
    since INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    -- Null when no further attempt will be made.
    next_at INTEGER,
    delivered_at INTEGER,
    last_status INTEGER,
    last_error TEXT
) STRICT;

CREATE INDEX deliveries_of_receiver ON deliveries (receiver, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_by_time ON deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_by_age ON deliveries (since) WHERE next_at IS NOT NULL;

-- What outlives the jobs: the newest id and the last change number of those removed, and how many
-- deliveries are pending, and how many were when they were removed.
CREATE TABLE marks (
    newest_removed INTEGER NOT NULL,
    last_version INTEGER NOT NULL,
    deliveries_pending INTEGER NOT NULL DEFAULT 0,
    deliveries_lost INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO marks (newest_removed, last_version) VALUES (0, 0);

-- Counted as they come and go: to count a million takes 30 ms of the event loop.
CREATE TRIGGER delivery_begun AFTER INSERT ON deliveries BEGIN
    UPDATE marks SET deliveries_pending = deliveries_pending + 1;
END;

CREATE TRIGGER delivery_over AFTER UPDATE OF next_at ON deliveries
WHEN (OLD.next_at IS NULL) <> (NEW.next_at IS NULL) BEGIN
    UPDATE marks SET
        deliveries_pending = deliveries_pending + iif(NEW.next_at IS NULL, -1, 1);
END;

CREATE TRIGGER delivery_lost AFTER DELETE ON deliveries WHEN OLD.next_at IS NOT NULL BEGIN
    UPDATE marks SET
        deliveries_pending = deliveries_pending - 1, deliveries_lost = deliveries_lost + 1;
END;
