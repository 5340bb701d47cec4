-- An index that every change of a job touches costs each its share. So the other statuses are looked
-- for task by task, and only the jobs that most who look for a status want have an index of their own.
DROP INDEX jobs_by_status;
CREATE INDEX jobs_unsuccessful ON jobs (status) WHERE status > 2;
