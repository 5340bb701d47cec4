-- An owner's own lists and counts. Jobs without an owner cost nothing here.
CREATE INDEX jobs_of_owner_by_status ON jobs (owner, status) WHERE owner IS NOT NULL;
CREATE INDEX jobs_of_owner_by_task ON jobs (owner, task, status) WHERE owner IS NOT NULL;
