-- Version 3: accounts, audit, minutes not watched, consents and retention, which SQLite has in people.db (people.py).
CREATE TABLE accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, pin TEXT NOT NULL);
CREATE TABLE audit (
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, utc_ms BIGINT NOT NULL, kind TEXT NOT NULL,
  account TEXT NOT NULL, role TEXT NOT NULL, resident_id TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX audit_resident ON audit (resident_id, utc_ms);
CREATE TABLE unwatched (
  number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gateway TEXT NOT NULL, bed TEXT NOT NULL,
  reason TEXT NOT NULL, from_utc_ms BIGINT NOT NULL, to_utc_ms BIGINT NOT NULL
);
CREATE INDEX unwatched_time ON unwatched (to_utc_ms);
CREATE TABLE consents (
  resident_id TEXT NOT NULL, data_class TEXT NOT NULL, given INTEGER NOT NULL, since_utc_ms BIGINT NOT NULL,
  account TEXT NOT NULL,
  PRIMARY KEY (resident_id, data_class)
);
CREATE TABLE retention (data_class TEXT PRIMARY KEY, days INTEGER NOT NULL);
-- The people.db files whose content was taken over, so that none is taken twice.
CREATE TABLE people_files (file TEXT PRIMARY KEY);
