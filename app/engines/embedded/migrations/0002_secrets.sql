-- The secret params of jobs that have not ended, by JSON pointer. Their rows are written once and
-- never change: a row that grew would leave copies of itself behind in pages of its table.
CREATE TABLE secrets (
    high INTEGER PRIMARY KEY,
    params BLOB NOT NULL
) STRICT;

-- How many times a row of it was removed: the log of the file is emptied soon after that.
ALTER TABLE marks ADD COLUMN scrubs INTEGER NOT NULL DEFAULT 0;
