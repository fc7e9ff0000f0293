-- Version 1 of the receiver's PostgreSQL database: the tables of schema/0002.sql in PostgreSQL's words, with packs and
-- minutes partitioned by UTC day (postgres.py makes the partitions). A later version is a further file.
-- Instants are UTC milliseconds. Names live in resident_names alone, encrypted.

CREATE TABLE streams (
  stream_id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  gateway TEXT NOT NULL, epoch TEXT NOT NULL, lane TEXT NOT NULL,
  audited BIGINT NOT NULL DEFAULT 1,
  UNIQUE (gateway, epoch, lane)
);
CREATE TABLE gaps (
  stream_id INTEGER NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL, reason TEXT NOT NULL,
  noted_utc_ms BIGINT NOT NULL,
  PRIMARY KEY (stream_id, first_seq)
);
CREATE TABLE quarantine (
  digest BYTEA PRIMARY KEY, gateway TEXT NOT NULL, lane TEXT NOT NULL, seq BIGINT, code TEXT NOT NULL,
  message TEXT NOT NULL, body BYTEA NOT NULL, noted_utc_ms BIGINT NOT NULL
);
CREATE TABLE beds (
  bed_id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  gateway TEXT NOT NULL, bed TEXT NOT NULL, room TEXT NOT NULL DEFAULT '',
  UNIQUE (gateway, bed)
);
CREATE TABLE residents (resident_id TEXT PRIMARY KEY, admitted_utc_ms BIGINT NOT NULL);
CREATE TABLE resident_names (
  resident_id TEXT PRIMARY KEY REFERENCES residents, nonce BYTEA NOT NULL, sealed BYTEA NOT NULL
);
CREATE TABLE assignments (
  resident_id TEXT NOT NULL REFERENCES residents, bed_id INTEGER NOT NULL REFERENCES beds,
  from_utc_ms BIGINT NOT NULL, to_utc_ms BIGINT
);
CREATE UNIQUE INDEX assignments_resident ON assignments (resident_id) WHERE to_utc_ms IS NULL;
CREATE UNIQUE INDEX assignments_bed ON assignments (bed_id) WHERE to_utc_ms IS NULL;
CREATE TABLE alarm_events (
  stream_id INTEGER NOT NULL, seq BIGINT NOT NULL, bed_id INTEGER NOT NULL, alarm_id TEXT NOT NULL,
  utc_ms BIGINT NOT NULL, trusted INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, body BYTEA NOT NULL,
  PRIMARY KEY (stream_id, seq)
);
CREATE INDEX alarm_events_alarm ON alarm_events (bed_id, alarm_id);
CREATE INDEX alarm_events_time ON alarm_events (bed_id, utc_ms);
CREATE TABLE alarms (
  bed_id INTEGER NOT NULL, alarm_id TEXT NOT NULL, state TEXT NOT NULL, level INTEGER NOT NULL,
  priority TEXT NOT NULL, raised_utc_ms BIGINT NOT NULL, acknowledged_utc_ms BIGINT, ended_utc_ms BIGINT,
  detail TEXT NOT NULL,
  PRIMARY KEY (bed_id, alarm_id)
);
CREATE INDEX alarms_open ON alarms (raised_utc_ms) WHERE state <> 'closed';
CREATE TABLE nights (
  bed_id INTEGER NOT NULL, night_of TEXT NOT NULL, version INTEGER NOT NULL, utc_ms BIGINT NOT NULL,
  report BYTEA NOT NULL,
  PRIMARY KEY (bed_id, night_of, version)
);
CREATE TABLE belt_events (
  stream_id INTEGER NOT NULL, seq BIGINT NOT NULL, bed_id INTEGER NOT NULL, belt TEXT NOT NULL,
  utc_ms BIGINT NOT NULL, trusted INTEGER NOT NULL, event TEXT NOT NULL, body BYTEA NOT NULL,
  PRIMARY KEY (stream_id, seq)
);
CREATE INDEX belt_events_time ON belt_events (bed_id, utc_ms);
CREATE TABLE devices (
  gateway TEXT NOT NULL, device TEXT NOT NULL, role TEXT NOT NULL, bed TEXT NOT NULL, utc_ms BIGINT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (gateway, device)
);

CREATE TABLE received (
  stream_id INTEGER NOT NULL, first_seq BIGINT NOT NULL, hashes BYTEA NOT NULL,
  PRIMARY KEY (stream_id, first_seq)
);
ALTER TABLE received ALTER COLUMN hashes SET STORAGE PLAIN;

CREATE TABLE rejected (
  stream_id INTEGER NOT NULL, seq BIGINT NOT NULL, code TEXT NOT NULL,
  PRIMARY KEY (stream_id, seq)
);

CREATE TABLE packs (
  bed_id INTEGER NOT NULL, start_utc_ms BIGINT NOT NULL, end_utc_ms BIGINT NOT NULL, readings INTEGER NOT NULL,
  body BYTEA NOT NULL
) PARTITION BY RANGE (start_utc_ms);
-- zstd has compressed it already.
ALTER TABLE packs ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX packs_time ON packs (bed_id, start_utc_ms);
CREATE TABLE packs_other PARTITION OF packs DEFAULT;

CREATE TABLE minutes (
  bed_id INTEGER NOT NULL, utc_ms BIGINT NOT NULL,
  readings INTEGER NOT NULL, occupied_s INTEGER NOT NULL, empty_s INTEGER NOT NULL,
  heart_sum INTEGER NOT NULL, heart_count INTEGER NOT NULL,
  respiration_sum INTEGER NOT NULL, respiration_count INTEGER NOT NULL,
  moving_s INTEGER NOT NULL, turn_overs INTEGER NOT NULL,
  PRIMARY KEY (bed_id, utc_ms)
) PARTITION BY RANGE (utc_ms);
CREATE TABLE minutes_other PARTITION OF minutes DEFAULT;

CREATE TABLE counters (
  name TEXT NOT NULL, slot INTEGER NOT NULL, value BIGINT NOT NULL,
  PRIMARY KEY (name, slot)
);
