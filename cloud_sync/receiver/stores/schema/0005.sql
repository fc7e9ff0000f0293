-- Version 5: minutes lie in their pack (minute_sums.py) instead of a row each, so that late data are a further pack.
ALTER TABLE packs ADD COLUMN minutes BLOB NOT NULL DEFAULT x'';
-- Minutes within [start, end) of which nothing is stored; -1: a pack of before, whose minutes lie in packs of their own.
ALTER TABLE packs ADD COLUMN holes INTEGER NOT NULL DEFAULT -1;
INSERT INTO packs
  SELECT bed_id, min(utc_ms), max(utc_ms) + 60000, 0, x'',
         minutes_of_hour(utc_ms, heart_sum, respiration_sum, heart_count, respiration_count, moving_s, turn_overs,
                         readings, occupied_s, empty_s),
         (max(utc_ms) - min(utc_ms)) / 60000 + 1 - count(*)
  FROM minutes GROUP BY bed_id, utc_ms / 3600000;
DROP TABLE minutes;
DROP INDEX packs_time;
-- With what tells which minutes are covered, so that a month of all beds is read from the index alone.
CREATE INDEX packs_time ON packs (bed_id, start_utc_ms, end_utc_ms, holes);
