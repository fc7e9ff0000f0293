-- events.db as the first version of the gateway wrote it (sqlite3 .dump).
BEGIN TRANSACTION;
CREATE TABLE acked_ahead(lane TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(lane, seq)) WITHOUT ROWID;
INSERT INTO "acked_ahead" VALUES('alarm',3);
CREATE TABLE belt_records(
  belt TEXT NOT NULL, seq INTEGER NOT NULL, bed TEXT NOT NULL, boot_id INTEGER NOT NULL, uptime_ms INTEGER NOT NULL,
  utc_ms INTEGER, kind TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE(belt, seq));
INSERT INTO "belt_records" VALUES('belt',5,'A',1,1000,1700000000000,'occupancy','{}');
CREATE TABLE events(
  id INTEGER PRIMARY KEY, elapsed_ms INTEGER NOT NULL, utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL,
  bed TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, rule TEXT NOT NULL, who TEXT NOT NULL);
INSERT INTO "events" VALUES(1,1,1700000000000,1,'A','exit','','1','');
CREATE TABLE lanes(
  lane TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, floor INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "lanes" VALUES('alarm',4,2);
INSERT INTO "lanes" VALUES('vitals',4,1);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('epoch','0123456789abcdef');
CREATE TABLE nights(
  bed TEXT NOT NULL, night_of TEXT NOT NULL, version INTEGER NOT NULL, report TEXT NOT NULL,
  PRIMARY KEY(bed, night_of)) WITHOUT ROWID;
INSERT INTO "nights" VALUES('A','2023-11-15',2,'{}');
CREATE TABLE outbox(
  lane TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(lane, seq)) WITHOUT ROWID;
INSERT INTO "outbox" VALUES('alarm',2,X'6F6E65');
INSERT INTO "outbox" VALUES('vitals',2,X'74776F');
CREATE TABLE rejected(
  lane TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE state(id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL);
INSERT INTO "state" VALUES(1,'{"n": 1}');
CREATE INDEX events_of_bed ON events(bed, utc_ms);
CREATE INDEX records_of_bed ON belt_records(bed, utc_ms);
COMMIT;
