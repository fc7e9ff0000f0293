-- Version 1 of the receiver's database. A later version is a further file, applied in order; none is ever edited.
-- Instants are UTC milliseconds. Names live in resident_names alone, encrypted.

CREATE TABLE streams (
  stream_id INTEGER PRIMARY KEY,
  gateway TEXT NOT NULL, epoch TEXT NOT NULL, lane TEXT NOT NULL,
  audited INTEGER NOT NULL DEFAULT 1,         -- every seq below it has been looked for
  UNIQUE (gateway, epoch, lane)
);

-- Every item ever answered: the key, the hash of its body, and what became of it (1 stored, 2 rejected).
CREATE TABLE received (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, hash BLOB NOT NULL, status INTEGER NOT NULL, code TEXT,
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;

CREATE TABLE gaps (
  stream_id INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, reason TEXT NOT NULL,
  noted_utc_ms INTEGER NOT NULL,
  PRIMARY KEY (stream_id, first_seq)
) WITHOUT ROWID;

CREATE TABLE quarantine (
  digest BLOB PRIMARY KEY, gateway TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER, code TEXT NOT NULL,
  message TEXT NOT NULL, body BLOB NOT NULL, noted_utc_ms INTEGER NOT NULL
);

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE beds (
  bed_id INTEGER PRIMARY KEY,
  gateway TEXT NOT NULL, bed TEXT NOT NULL, room TEXT NOT NULL DEFAULT '',
  UNIQUE (gateway, bed)
);

CREATE TABLE residents (resident_id TEXT PRIMARY KEY, admitted_utc_ms INTEGER NOT NULL);

CREATE TABLE resident_names (
  resident_id TEXT PRIMARY KEY REFERENCES residents, nonce BLOB NOT NULL, sealed BLOB NOT NULL
);

CREATE TABLE assignments (
  resident_id TEXT NOT NULL REFERENCES residents, bed_id INTEGER NOT NULL REFERENCES beds,
  from_utc_ms INTEGER NOT NULL, to_utc_ms INTEGER
);
CREATE UNIQUE INDEX assignments_resident ON assignments (resident_id) WHERE to_utc_ms IS NULL;
CREATE UNIQUE INDEX assignments_bed ON assignments (bed_id) WHERE to_utc_ms IS NULL;

CREATE TABLE chunks (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, bed_id INTEGER NOT NULL, belt TEXT NOT NULL,
  start_utc_ms INTEGER NOT NULL, span_s INTEGER NOT NULL, readings INTEGER NOT NULL, trusted INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;

CREATE TABLE minutes (
  bed_id INTEGER NOT NULL, utc_ms INTEGER NOT NULL,
  readings INTEGER NOT NULL, occupied_s INTEGER NOT NULL, empty_s INTEGER NOT NULL,
  heart_sum INTEGER NOT NULL, heart_count INTEGER NOT NULL,
  respiration_sum INTEGER NOT NULL, respiration_count INTEGER NOT NULL,
  moving_s INTEGER NOT NULL, turn_overs INTEGER NOT NULL,
  PRIMARY KEY (bed_id, utc_ms)
) WITHOUT ROWID;

CREATE TABLE alarm_events (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, bed_id INTEGER NOT NULL, alarm_id TEXT NOT NULL,
  utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;
CREATE INDEX alarm_events_alarm ON alarm_events (bed_id, alarm_id);
CREATE INDEX alarm_events_time ON alarm_events (bed_id, utc_ms);

CREATE TABLE alarms (
  bed_id INTEGER NOT NULL, alarm_id TEXT NOT NULL, state TEXT NOT NULL, level INTEGER NOT NULL,
  priority TEXT NOT NULL, raised_utc_ms INTEGER NOT NULL, acknowledged_utc_ms INTEGER, ended_utc_ms INTEGER,
  detail TEXT NOT NULL,
  PRIMARY KEY (bed_id, alarm_id)
) WITHOUT ROWID;
CREATE INDEX alarms_open ON alarms (raised_utc_ms) WHERE state <> 'closed';

CREATE TABLE nights (
  bed_id INTEGER NOT NULL, night_of TEXT NOT NULL, version INTEGER NOT NULL, utc_ms INTEGER NOT NULL,
  report BLOB NOT NULL,
  PRIMARY KEY (bed_id, night_of, version)
) WITHOUT ROWID;

CREATE TABLE belt_events (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, bed_id INTEGER NOT NULL, belt TEXT NOT NULL,
  utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, event TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;
CREATE INDEX belt_events_time ON belt_events (bed_id, utc_ms);

CREATE TABLE devices (
  gateway TEXT NOT NULL, device TEXT NOT NULL, role TEXT NOT NULL, bed TEXT NOT NULL, utc_ms INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (gateway, device)
) WITHOUT ROWID;
