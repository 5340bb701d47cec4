-- A status is looked for task by task: there are few of them, and each index that every change of a
-- job touches costs its share of the change.
DROP INDEX jobs_by_status;
