-- events.db as the third version of the gateway wrote it (sqlite3 .dump): what was sent is kept, with its instant.
BEGIN TRANSACTION;
CREATE TABLE accounts(
  name TEXT PRIMARY KEY, role TEXT NOT NULL, pin TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "accounts" VALUES('anna','carer','hash');
CREATE TABLE acked_ahead(lane TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(lane, seq)) WITHOUT ROWID;
INSERT INTO "acked_ahead" VALUES('alarm',3);
CREATE TABLE audit(position INTEGER PRIMARY KEY, body BLOB NOT NULL, hash BLOB NOT NULL);
INSERT INTO "audit" VALUES(1,X'5B312C313730303030303030303030302C352C747275652C2265786974222C2241222C22222C22222C2272756C652031225D',X'CFC69267943B50172CF3A2F9DDCE63ECEBB79ECC5F8453A755763FB34F55396E');
CREATE TABLE belt_records(
  belt TEXT NOT NULL, seq INTEGER NOT NULL, bed TEXT NOT NULL, boot_id INTEGER NOT NULL, uptime_ms INTEGER NOT NULL,
  utc_ms INTEGER, kind TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE(belt, seq));
INSERT INTO "belt_records" VALUES('belt',5,'A',1,1000,1700000000000,'occupancy','{}');
CREATE TABLE belts(belt TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events(
  id INTEGER PRIMARY KEY, elapsed_ms INTEGER NOT NULL, utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL,
  bed TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, rule TEXT NOT NULL, who TEXT NOT NULL);
INSERT INTO "events" VALUES(1,1,1700000000000,1,'A','exit','','1','');
CREATE TABLE lanes(
  lane TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, floor INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "lanes" VALUES('alarm',4,2);
INSERT INTO "lanes" VALUES('vitals',4,1);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('audit_head','1:cfc69267943b50172cf3a2f9ddce63ecebb79ecc5f8453a755763fb34f55396e');
INSERT INTO "meta" VALUES('epoch','0123456789abcdef');
CREATE TABLE nights(
  bed TEXT NOT NULL, night_of TEXT NOT NULL, version INTEGER NOT NULL, report TEXT NOT NULL,
  PRIMARY KEY(bed, night_of)) WITHOUT ROWID;
INSERT INTO "nights" VALUES('A','2023-11-15',2,'{}');
CREATE TABLE outbox(
  lane TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, utc_ms INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(lane, seq)) WITHOUT ROWID;
INSERT INTO "outbox" VALUES('alarm',2,X'6F6E65',0);
INSERT INTO "outbox" VALUES('vitals',2,X'74776F',0);
CREATE TABLE rejected(
  lane TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE settings(
  version INTEGER PRIMARY KEY, utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, bed TEXT NOT NULL, who TEXT NOT NULL,
  why TEXT NOT NULL, body TEXT NOT NULL);
INSERT INTO "settings" VALUES(1,1700000000000,1,'A','lead','why','{"profile": "x"}');
CREATE TABLE state(id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL);
INSERT INTO "state" VALUES(1,'{"n": 1}');
CREATE INDEX events_of_bed ON events(bed, utc_ms);
CREATE INDEX records_of_bed ON belt_records(bed, utc_ms);
CREATE TRIGGER audit_refuses_update BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'audit only gets inserts'); END;
CREATE TRIGGER audit_refuses_delete BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'audit only gets inserts'); END;
CREATE TRIGGER audit_refuses_replace BEFORE INSERT ON audit
  WHEN EXISTS (SELECT 1 FROM audit WHERE position = NEW.position)
  BEGIN SELECT RAISE(ABORT, 'audit only gets inserts'); END;
CREATE TRIGGER settings_refuses_update BEFORE UPDATE ON settings
  BEGIN SELECT RAISE(ABORT, 'settings only gets inserts'); END;
CREATE TRIGGER settings_refuses_delete BEFORE DELETE ON settings
  BEGIN SELECT RAISE(ABORT, 'settings only gets inserts'); END;
CREATE TRIGGER settings_refuses_replace BEFORE INSERT ON settings
  WHEN EXISTS (SELECT 1 FROM settings WHERE version = NEW.version)
  BEGIN SELECT RAISE(ABORT, 'settings only gets inserts'); END;
PRAGMA user_version=3;
COMMIT;
