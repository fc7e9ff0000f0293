-- Version 5: minutes lie in their pack (minute_sums.py) instead of a row each, so that late data are a further pack.
-- postgres.py then puts each hour of the old rows into a pack without chunks and drops their table.
ALTER TABLE packs ADD COLUMN minutes BYTEA NOT NULL DEFAULT '';
-- Minutes within [start, end) of which nothing is stored; -1: a pack of before, whose minutes lie in packs of their own.
ALTER TABLE packs ADD COLUMN holes SMALLINT NOT NULL DEFAULT -1;
