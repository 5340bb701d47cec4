-- Times are milliseconds since the Unix epoch, UTC.
-- Statuses: 0 pending, 1 running, 2 completed, 3 failed, 4 cancelled.

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    -- The store-wide change number of the last committed change of this job: see `stamp`.
    version bigint NOT NULL,
    status smallint NOT NULL,
    task text NOT NULL,
    owner text,
    priority bigint NOT NULL,
    timeout double precision,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    run_at bigint NOT NULL,
    start_by bigint,
    started_at bigint,
    finished_at bigint,
    cancel_requested_at bigint,
    traceparent text,
    -- Who wants to be told of its end: a JSON array of the URL, its host and port, and statuses.
    webhook text,
    idempotency_key text,
    fingerprint bytea,
    labels text,
    -- Each label as a JSON array of its name and value.
    label_keys text[],
    error text,
    params bytea NOT NULL,
    result bytea,
    -- The row of procrastinate_jobs while the job has not ended, and who runs its attempt.
    dispatch bigint,
    worker bigint,
    -- Set aside until another job of its owner has ended.
    parked boolean NOT NULL DEFAULT false
);

CREATE INDEX jobs_by_version ON jobs (version);
CREATE INDEX jobs_by_status ON jobs (status, id);
CREATE INDEX jobs_by_task ON jobs (task, status, id);
CREATE INDEX jobs_of_owner_by_status ON jobs (owner, status, id) WHERE owner IS NOT NULL;
CREATE INDEX jobs_of_owner_by_task ON jobs (owner, task, status, id) WHERE owner IS NOT NULL;
CREATE INDEX jobs_by_label ON jobs USING gin (label_keys) WHERE label_keys IS NOT NULL;
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE status > 1;
CREATE INDEX jobs_to_start ON jobs (start_by) WHERE status = 0 AND attempt = 0;
CREATE INDEX jobs_parked ON jobs (coalesce(owner, ''), priority DESC, id) WHERE parked;
CREATE UNIQUE INDEX jobs_by_key ON jobs (coalesce(owner, ''), idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- What is to be done is ready without a due time, or has one: the infinite future when parked.
CREATE INDEX dispatches_ready ON procrastinate_jobs (queue_name, priority DESC, id)
    WHERE status = 'todo' AND scheduled_at IS NULL;
CREATE INDEX dispatches_later ON procrastinate_jobs (scheduled_at)
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;

-- The attempts before the one that stands in the job itself.
CREATE TABLE attempts (
    id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
    number integer NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    outcome smallint NOT NULL,
    error text,
    PRIMARY KEY (id, number)
);

-- What a coroutine reports: its progress while it runs, as a JSON array, and its last log lines,
-- as a JSON array of [number, time, attempt, message].
CREATE TABLE reports (
    id uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    attempt integer NOT NULL,
    progress text,
    lines text
);

-- Where coroutines await, for those who have asked: as a JSON array of [function, file, line].
CREATE UNLOGGED TABLE stacks (
    asked uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    frames text
);

-- The secret params of jobs that have not ended, by JSON pointer.
CREATE TABLE secrets (
    id uuid PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
    params bytea NOT NULL
);

-- The telling of a job's end by its webhook. Goes with the job.
CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    receiver text COLLATE "C" NOT NULL,
    -- Since when it has been pending.
    since bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    -- Null when no further attempt will be made.
    next_at bigint,
    -- When any node may take it: later than that while one holds it.
    due_at bigint,
    delivered_at bigint,
    last_status integer,
    last_error text
);
CREATE INDEX deliveries_of_receiver ON deliveries (receiver, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_time ON deliveries (due_at) INCLUDE (since) WHERE due_at IS NOT NULL;

-- What outlives the jobs: the newest id and the last change number of those removed, and how many
-- deliveries were still to be made then.
CREATE TABLE marks (
    newest_removed uuid NOT NULL,
    last_version bigint NOT NULL,
    deliveries_lost bigint NOT NULL DEFAULT 0
);
INSERT INTO marks VALUES ('00000000-0000-0000-0000-000000000000', 0);

-- How many have been removed since the beginning, for all who count jobs.
CREATE TABLE removed (
    owner text,
    task text NOT NULL,
    status smallint NOT NULL,
    number bigint NOT NULL
);
CREATE UNIQUE INDEX removed_by_kind ON removed (coalesce(owner, ''), task, status);

-- The key of the fingerprints by which repeated submissions are known, on every node.
CREATE TABLE fingerprint_key (
    key bytea NOT NULL
);
INSERT INTO fingerprint_key VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- The workers that live: what beside its heartbeat is known of each.
CREATE TABLE workers (
    id bigint PRIMARY KEY REFERENCES procrastinate_workers ON DELETE CASCADE,
    name text NOT NULL,
    slots integer NOT NULL,
    tasks text[] NOT NULL
);

CREATE FUNCTION tell_of_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('awaitd_workers', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER workers_changed AFTER INSERT OR DELETE ON workers
    FOR EACH ROW EXECUTE FUNCTION tell_of_workers();

-- Added to transaction numbers, so that change numbers grow on in another PostgreSQL, too: see
-- `begin_epoch`.
CREATE FUNCTION epoch() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';

-- A change number is that of the transaction, then a count within it. So what a transaction that
-- still runs can commit is above all that is below the oldest running one: readers stop there.
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    nth integer := coalesce(nullif(current_setting('awaitd.changes', true), ''), '0')::integer + 1;
BEGIN
    PERFORM set_config('awaitd.changes', nth::text, true);
    IF nth > 4095 THEN
        RAISE 'too many changes in one transaction';
    END IF;
    NEW.version := (epoch() + pg_current_xact_id()::text::bigint) << 12 | nth;
    -- It had its number before it waited for another one that changed this job.
    IF TG_OP = 'UPDATE' AND OLD.version >= NEW.version THEN
        RAISE 'a later transaction has changed this job' USING ERRCODE = 'serialization_failure';
    END IF;
    PERFORM pg_notify('awaitd_jobs', NEW.id::text);
    RETURN NEW;
END
$$;
CREATE TRIGGER stamp_new BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER stamp_changed BEFORE UPDATE OF status, cancel_requested_at ON jobs
    FOR EACH ROW EXECUTE FUNCTION stamp();

-- However a job ends, the change that ends it has that told, if its webhook is for such an end.
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deliveries (id, receiver, since, next_at, due_at)
    VALUES (
        NEW.id, NEW.webhook::json ->> 1, NEW.finished_at, NEW.finished_at, NEW.finished_at
    );
    PERFORM pg_notify('awaitd_deliveries', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER tell AFTER UPDATE OF status ON jobs FOR EACH ROW
    WHEN (NEW.webhook IS NOT NULL AND NEW.webhook::jsonb -> 2 @> to_jsonb(NEW.status))
    EXECUTE FUNCTION tell();

-- The first delivery that is due of each receiver after one, but busy ones; held until `_until`. Walks
-- from receiver to receiver, each of them a look into an index, however many deliveries it has; as
-- with `claim`, index scans only.
CREATE FUNCTION take_deliveries(
    _now bigint, _until bigint, _limit integer, _busy text[], _after text
) RETURNS SETOF deliveries LANGUAGE sql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH RECURSIVE walk AS (
        SELECT _after COLLATE "C" AS receiver
        UNION ALL
        SELECT (
            SELECT d.receiver FROM deliveries d
            WHERE d.due_at IS NOT NULL AND d.receiver > walk.receiver ORDER BY d.receiver LIMIT 1
        ) FROM walk WHERE walk.receiver IS NOT NULL
    ), found AS MATERIALIZED (
        SELECT first.id FROM walk, LATERAL (
            SELECT d.id FROM deliveries d
            WHERE d.receiver = walk.receiver AND d.due_at <= _now
            ORDER BY d.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
        ) AS first
        WHERE walk.receiver <> ALL (_busy) AND walk.receiver <> _after LIMIT _limit
    )
    UPDATE deliveries SET due_at = _until FROM found WHERE deliveries.id = found.id
    RETURNING deliveries.*
$$;

-- How many deliveries are pending, since when the one is that has waited longest, and how many were
-- lost. Looks at all that are pending: an index holds them and nothing else.
CREATE FUNCTION delivery_figures() RETURNS TABLE (pending bigint, oldest bigint, lost bigint)
LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT count(*), min(since), (SELECT deliveries_lost FROM marks)
    FROM deliveries WHERE due_at IS NOT NULL
$$;

-- Every change number below this is committed, rolled back, or will never be given out.
CREATE FUNCTION settled() RETURNS bigint LANGUAGE sql STABLE AS
    'SELECT (epoch() + pg_snapshot_xmin(pg_current_snapshot())::text::bigint) << 12';

-- The jobs whose last change the snapshot `_past` does not show, or, with none, is not settled.
CREATE FUNCTION unseen(_past pg_snapshot) RETURNS SETOF jobs LANGUAGE sql STABLE AS $$
    SELECT j.* FROM (
        SELECT settled() AS low, NULL::bigint AS high WHERE _past IS NULL
        UNION ALL
        SELECT (epoch() + pg_snapshot_xmax(_past)::text::bigint) << 12, NULL WHERE _past IS NOT NULL
        UNION ALL
        SELECT (epoch() + xip::text::bigint) << 12, (epoch() + xip::text::bigint + 1) << 12
        FROM pg_snapshot_xip(_past) AS xip
    ) AS missing
    JOIN jobs j ON j.version >= low AND j.version < coalesce(high, 9223372036854775807)
$$;

-- Whether there are change numbers that this PostgreSQL has not come to: then the tables were
-- restored from a backup of another one.
CREATE FUNCTION is_restored() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT greatest(last_version, (SELECT version FROM jobs ORDER BY version DESC LIMIT 1))
        >= (epoch() + pg_snapshot_xmax(pg_current_snapshot())::text::bigint) << 12 FROM marks
$$;

-- Change numbers go on above all that were given out, also after the backup; who watches from an
-- earlier one is told to begin anew.
CREATE FUNCTION begin_epoch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _newest bigint := (
        SELECT greatest(last_version, (SELECT max(version) FROM jobs)) >> 12 FROM marks
    );
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION epoch() RETURNS bigint LANGUAGE sql IMMUTABLE AS %L',
        format('SELECT %s::bigint', _newest + 4294967296)
    );
    UPDATE marks SET last_version = (_newest + 4294967296) << 12;
END
$$;

CREATE FUNCTION dispatch(_id uuid, _task text, _priority bigint, _run_at bigint, _now bigint)
RETURNS bigint LANGUAGE sql AS $$
    SELECT (procrastinate_defer_jobs_v1(ARRAY[ROW(
        _task, 'awaitd', greatest(least(_priority, 2147483647), -2147483648)::integer, NULL, NULL,
        jsonb_build_object('job', _id),
        CASE WHEN _run_at > _now THEN now() + (_run_at - _now) * interval '1 millisecond' END
    )::procrastinate_job_to_defer_v1]))[1]
$$;

-- The row and its dispatch. Gives the new job's version, or the id and fingerprint of the key's.
CREATE FUNCTION submit(
    _id uuid, _now bigint, _task text, _owner text, _priority bigint, _timeout double precision,
    _max_attempts integer, _run_at bigint, _start_by bigint, _traceparent text, _labels text,
    _label_keys text[], _params bytea, _secrets bytea, _key text, _fingerprint bytea,
    _webhook text DEFAULT NULL
) RETURNS TABLE (its_version bigint, known uuid, its_fingerprint bytea) LANGUAGE plpgsql AS $$
DECLARE
    _dispatch bigint;
BEGIN
    _dispatch := dispatch(_id, _task, _priority, _run_at, _now);
    INSERT INTO jobs AS j (
        id, version, status, task, owner, priority, timeout, attempt, max_attempts, run_at,
        start_by, traceparent, webhook, labels, label_keys, params, idempotency_key, fingerprint,
        dispatch
    ) VALUES (
        _id, 0, 0, _task, _owner, _priority, _timeout, 0, _max_attempts, _run_at,
        _start_by, _traceparent, _webhook, _labels, _label_keys, _params, _key, _fingerprint,
        _dispatch
    ) ON CONFLICT DO NOTHING RETURNING j.version, j.id, j.fingerprint
    INTO its_version, known, its_fingerprint;
    IF FOUND THEN
        IF _secrets IS NOT NULL THEN
            INSERT INTO secrets VALUES (_id, _secrets);
        END IF;
    ELSE
        DELETE FROM procrastinate_jobs WHERE id = _dispatch;
        SELECT j.version, j.id, j.fingerprint INTO its_version, known, its_fingerprint
        FROM jobs j WHERE j.id = _id
            OR (coalesce(j.owner, '') = coalesce(_owner, '') AND j.idempotency_key = _key);
    END IF;
    RETURN NEXT;
END
$$;

-- How many more jobs of this task may run, in the whole cluster, as far as any are ready. Holds a
-- lock when it is not 0.
CREATE FUNCTION room(_task text, _limit integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs
        WHERE queue_name = _task AND status = 'todo' AND scheduled_at IS NULL
    ) OR (SELECT count(*) FROM jobs WHERE task = _task AND status = 1) >= _limit THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('awaitd task ' || _task, 0));
    RETURN greatest(_limit - (SELECT count(*) FROM jobs WHERE task = _task AND status = 1), 0);
END
$$;

-- Makes what is due ready: only that is in the index that claims walk.
CREATE FUNCTION make_ready() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE id = ANY (ARRAY(
        SELECT id FROM procrastinate_jobs
        WHERE status = 'todo' AND scheduled_at IS NOT NULL AND scheduled_at <= now()
        ORDER BY scheduled_at LIMIT 10000 FOR UPDATE SKIP LOCKED
    ));
END
$$;

-- Starts the next attempts of up to `_slots` jobs of the tasks that the worker knows. `_limits`
-- has, for each of `_limited`, how many may run in the whole cluster. What it costs does not
-- depend on how many wait, unlike Procrastinate's own fetch, which looks at all of them each time:
-- it walks the first of each queue. Index scans only, for plans are kept while tables grow.
CREATE FUNCTION claim(
    _worker bigint, _slots integer, _now bigint, _open text[], _limited text[],
    _limits integer[], _of_owner integer
) RETURNS SETOF jobs LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    _given integer := 0;
    _aside integer := 0;
    _most integer := _slots;
    _seen integer;
    _rooms integer[];
    _next record;
    _found procrastinate_jobs;
    _job jobs;
BEGIN
    PERFORM make_ready();
    _rooms := array_fill(_slots, ARRAY[cardinality(_open)])
        || ARRAY(SELECT room(t, l) FROM unnest(_limited, _limits) AS limits (t, l));
    LOOP
        _seen := 0;
        FOR _next IN
            SELECT ready.id, queues.place
            FROM unnest(_open || _limited, _rooms) WITH ORDINALITY AS queues (name, room, place),
            LATERAL (
                SELECT id, priority FROM procrastinate_jobs
                WHERE queue_name = queues.name AND status = 'todo' AND scheduled_at IS NULL
                ORDER BY priority DESC, id LIMIT _most
            ) AS ready
            WHERE queues.room > 0 ORDER BY ready.priority DESC, ready.id LIMIT _most
        LOOP
            EXIT WHEN _given = _slots OR _aside = 100;
            _seen := _seen + 1;
            CONTINUE WHEN _rooms[_next.place] = 0;
            UPDATE procrastinate_jobs SET status = 'doing', worker_id = _worker WHERE id = (
                SELECT id FROM procrastinate_jobs
                WHERE id = _next.id AND status = 'todo' AND scheduled_at IS NULL
                FOR UPDATE SKIP LOCKED
            ) RETURNING * INTO _found;
            CONTINUE WHEN NOT FOUND;
            _job := start(_found, _now, _of_owner);
            IF _job.id IS NULL THEN
                _aside := _aside + 1;
            ELSE
                _rooms[_next.place] := _rooms[_next.place] - 1;
                _given := _given + 1;
                RETURN NEXT _job;
            END IF;
        END LOOP;
        -- What others have locked, or has no room any more, was among them: look further.
        EXIT WHEN _seen < _most OR _given = _slots OR _aside = 100;
        _most := _most * 4;
    END LOOP;
END
$$;

-- Who starts or parks an owner's jobs holds this lock alone, who ends one shares it: so what is
-- counted stays so, and nothing is parked unseen by what should unpark it. A claim waits for none
-- of these locks, for it may hold some: what it does not get it leaves to the next claim.
CREATE FUNCTION owner_lock(_owner text) RETURNS bigint LANGUAGE sql IMMUTABLE AS
    'SELECT hashtextextended(''awaitd owner '' || coalesce(_owner, ''''), 0)';

-- Starts the job of a dispatch that was fetched. Gives nothing when it is not to start.
CREATE FUNCTION start(_found procrastinate_jobs, _now bigint, _of_owner integer) RETURNS jobs
LANGUAGE plpgsql AS $$
DECLARE
    _job jobs;
BEGIN
    SELECT * INTO _job FROM jobs
    WHERE id = (_found.args ->> 'job')::uuid AND status = 0 AND jobs.dispatch = _found.id
    FOR UPDATE;
    IF NOT FOUND THEN
        DELETE FROM procrastinate_jobs WHERE id = _found.id;
    ELSIF _of_owner IS NOT NULL AND NOT pg_try_advisory_xact_lock(owner_lock(_job.owner)) THEN
        UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL WHERE id = _found.id;
    ELSIF _job.attempt = 0 AND _job.start_by < _now THEN
        PERFORM fail(_job.id, _now, '["not-started-in-time","no slot was free in time",null]');
    ELSIF _of_owner IS NOT NULL AND owner_is_full(_job.owner, _of_owner) THEN
        UPDATE jobs SET parked = true WHERE id = _job.id;
        UPDATE procrastinate_jobs
        SET status = 'todo', worker_id = NULL, scheduled_at = 'infinity' WHERE id = _found.id;
    ELSE
        UPDATE jobs SET status = 1, attempt = attempt + 1, started_at = _now,
            worker = _found.worker_id
        WHERE id = _job.id RETURNING * INTO _job;
        RETURN _job;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION owner_is_full(_owner text, _limit integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT count(*) FROM jobs
        WHERE status = 1 AND owner IS NOT DISTINCT FROM _owner
    ) >= _limit;
END
$$;

-- Lets the next job go on that waits for one of its owner's. Those that others hold are passed
-- over: whoever holds both locks would wait for whoever has taken them in the other order.
CREATE FUNCTION unpark(_owner text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _next record;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(owner_lock(_owner));
    SELECT j.id, j.dispatch INTO _next
    FROM jobs j JOIN procrastinate_jobs p ON p.id = j.dispatch
    WHERE j.parked AND coalesce(j.owner, '') = coalesce(_owner, '')
    ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE jobs SET parked = false WHERE id = _next.id;
        UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE id = _next.dispatch;
    END IF;
END
$$;

-- Lets jobs go on whose owners have fewer in line and running than may run, however that came
-- about: the limit was raised, or lifted.
CREATE FUNCTION unpark_more(_limit integer, _now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _owner text;
BEGIN
    FOR _owner IN
        SELECT waiting.owner FROM (SELECT DISTINCT owner FROM jobs WHERE parked) AS waiting,
        LATERAL (
            SELECT count(*)::integer AS number FROM jobs j
            WHERE j.owner IS NOT DISTINCT FROM waiting.owner
            AND (j.status = 1 OR (j.status = 0 AND NOT j.parked AND j.run_at <= _now))
        ) AS taken, generate_series(1, least(100, _limit - taken.number))
    LOOP
        PERFORM unpark(_owner);
    END LOOP;
END
$$;

-- The dispatch is locked before the job, as `claim` does.
CREATE FUNCTION hold(_id uuid) RETURNS jobs LANGUAGE plpgsql AS $$
DECLARE
    _job jobs;
BEGIN
    PERFORM 1 FROM procrastinate_jobs
    WHERE id = (SELECT jobs.dispatch FROM jobs WHERE id = _id) FOR UPDATE;
    SELECT * INTO _job FROM jobs WHERE id = _id FOR UPDATE;
    RETURN _job;
END
$$;

-- The end of a job. Nothing of its dispatch and of its secrets is left.
CREATE FUNCTION conclude(
    _job jobs, _status integer, _now bigint, _result bytea, _error text
) RETURNS SETOF jobs LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY UPDATE jobs SET status = _status, finished_at = _now, result = _result,
        error = _error, dispatch = NULL, worker = NULL, parked = false
    WHERE id = _job.id RETURNING *;
    DELETE FROM secrets WHERE id = _job.id;
    UPDATE reports SET progress = NULL WHERE id = _job.id AND progress IS NOT NULL;
    DELETE FROM procrastinate_jobs WHERE id = _job.dispatch;
    PERFORM unpark(_job.owner);
END
$$;

-- A running attempt has ended. If a cancel is on record the job ends cancelled. Gives the job,
-- or nothing when this attempt was not the running one any more.
CREATE FUNCTION finish(
    _id uuid, _attempt integer, _now bigint, _step text, _returned bytea, _raised text,
    _error text, _retry_at bigint, _lines text
) RETURNS SETOF jobs LANGUAGE plpgsql AS $$
DECLARE
    _job jobs := hold(_id);
BEGIN
    IF _job.status IS DISTINCT FROM 1 OR _job.attempt <> _attempt THEN
        RETURN;
    END IF;
    IF _lines IS NOT NULL THEN
        INSERT INTO reports VALUES (_id, _attempt, NULL, _lines)
        ON CONFLICT (id) DO UPDATE SET attempt = _attempt, lines = _lines, progress = NULL;
        PERFORM pg_notify('awaitd_reports', _id::text);
    END IF;
    IF _job.cancel_requested_at IS NOT NULL OR _step = 'cancel' THEN
        RETURN QUERY SELECT * FROM conclude(_job, 4, _now, nullif(_returned, 'null'), _raised);
    ELSIF _step = 'complete' THEN
        RETURN QUERY SELECT * FROM conclude(_job, 2, _now, _returned, NULL);
    ELSIF _step = 'fail' THEN
        RETURN QUERY SELECT * FROM conclude(_job, 3, _now, NULL, _error);
    ELSE
        INSERT INTO attempts VALUES (_id, _attempt, _job.started_at, _now, 3, _error);
        RETURN QUERY UPDATE jobs
        SET status = 0, run_at = _retry_at, started_at = NULL, worker = NULL
        WHERE id = _id RETURNING *;
        UPDATE reports SET progress = NULL WHERE id = _id AND progress IS NOT NULL;
        IF EXISTS (
            SELECT 1 FROM procrastinate_jobs WHERE id = _job.dispatch AND status = 'doing'
        ) THEN
            PERFORM procrastinate_retry_job_v2(
                _job.dispatch, now() + (_retry_at - _now) * interval '1 millisecond',
                NULL, NULL, NULL
            );
        END IF;
        PERFORM unpark(_job.owner);
    END IF;
END
$$;

-- A pending job that can never start. Gives the job, or nothing when it was not pending any more.
CREATE FUNCTION fail(_id uuid, _now bigint, _error text) RETURNS SETOF jobs LANGUAGE plpgsql AS $$
DECLARE
    _job jobs := hold(_id);
BEGIN
    IF _job.status = 0 THEN
        RETURN QUERY SELECT * FROM conclude(_job, 3, _now, NULL, _error);
    END IF;
END
$$;

-- A cancel on record: a pending job ends at once, a running one is to stop. Gives the job as it
-- is then, or nothing when it is not there or not at `_if_version`.
CREATE FUNCTION cancel(_id uuid, _now bigint, _if_version bigint)
RETURNS SETOF jobs LANGUAGE plpgsql AS $$
DECLARE
    _job jobs := hold(_id);
BEGIN
    IF _job.id IS NULL OR (_if_version IS NOT NULL AND _if_version <> _job.version) THEN
        RETURN;
    ELSIF _job.status > 1 OR _job.cancel_requested_at IS NOT NULL THEN
        RETURN NEXT _job;
    ELSIF _job.status = 1 THEN
        RETURN QUERY UPDATE jobs SET cancel_requested_at = _now WHERE id = _id RETURNING *;
        PERFORM procrastinate_cancel_job_v1(_job.dispatch, true, false);
        PERFORM pg_notify('awaitd_cancels', _id::text);
    ELSE
        RETURN QUERY UPDATE jobs
        SET status = 4, cancel_requested_at = _now, finished_at = _now, dispatch = NULL,
            parked = false
        WHERE id = _id RETURNING *;
        DELETE FROM secrets WHERE id = _id;
        PERFORM procrastinate_cancel_job_v1(_job.dispatch, false, true);
        PERFORM unpark(_job.owner);
    END IF;
END
$$;

-- Removes finished jobs that ended before `_before`, the earliest ended first, and counts how many
-- of each owner, task and status. Jobs that ended after `_now` did so before a clock was set back.
-- Gives how many were removed, and how many of them had a delivery that was still to be made.
CREATE FUNCTION expire(_before bigint, _now bigint, _limit integer)
RETURNS TABLE (its_jobs bigint, its_lost bigint) LANGUAGE plpgsql AS $$
DECLARE
    _ids uuid[];
BEGIN
    PERFORM 1 FROM marks FOR UPDATE;
    _ids := ARRAY(
        SELECT id FROM jobs WHERE status > 1 AND finished_at < _before AND finished_at <= _now
        ORDER BY finished_at LIMIT _limit FOR UPDATE SKIP LOCKED
    );
    its_jobs := cardinality(_ids);
    IF its_jobs = 0 THEN
        RETURN;
    END IF;
    WITH over AS (DELETE FROM deliveries WHERE id = ANY (_ids) RETURNING due_at)
    SELECT count(due_at) INTO its_lost FROM over;
    WITH gone AS (
        DELETE FROM jobs WHERE id = ANY (_ids) RETURNING id, version, owner, task, status
    ), counted AS (
        INSERT INTO removed
        SELECT owner, task, status, count(*) FROM gone GROUP BY owner, task, status
        ON CONFLICT (coalesce(owner, ''), task, status)
        DO UPDATE SET number = removed.number + excluded.number
    )
    UPDATE marks SET
        newest_removed = greatest(newest_removed, (SELECT id FROM gone ORDER BY id DESC LIMIT 1)),
        last_version = greatest(last_version, (SELECT max(version) FROM gone)),
        deliveries_lost = deliveries_lost + its_lost;
    PERFORM pg_notify('awaitd_removed', '');
    RETURN NEXT;
END
$$;

-- What coroutines report, for those who look from other nodes.
CREATE FUNCTION report(_id uuid, _attempt integer, _progress text, _lines text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM jobs WHERE id = _id AND status = 1 AND attempt = _attempt) THEN
        INSERT INTO reports VALUES (_id, _attempt, _progress, _lines)
        ON CONFLICT (id) DO UPDATE
        SET attempt = _attempt, progress = _progress, lines = coalesce(_lines, reports.lines);
        PERFORM pg_notify('awaitd_reports', _id::text);
    END IF;
END
$$;

-- Answers who has asked where a coroutine awaits. What nobody has fetched is forgotten.
CREATE FUNCTION show_stack(_asked uuid, _frames text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM stacks WHERE at < now() - interval '1 minute';
    INSERT INTO stacks (asked, frames) VALUES (_asked, _frames);
    PERFORM pg_notify('awaitd_shown', _asked::text);
END
$$;
