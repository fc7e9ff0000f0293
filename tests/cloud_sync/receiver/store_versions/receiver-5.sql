BEGIN TRANSACTION;
CREATE TABLE alarm_events (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, bed_id INTEGER NOT NULL, alarm_id TEXT NOT NULL,
  utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;
INSERT INTO "alarm_events" VALUES(2,1,1,'a-1',1795000020000,1,'alarm_raise','',X'85000101A53130312D4102940700CF000001A1EE56AC20C303AB616C61726D5F726169736505A3612D31');
CREATE TABLE alarms (
  bed_id INTEGER NOT NULL, alarm_id TEXT NOT NULL, state TEXT NOT NULL, level INTEGER NOT NULL,
  priority TEXT NOT NULL, raised_utc_ms INTEGER NOT NULL, acknowledged_utc_ms INTEGER, ended_utc_ms INTEGER,
  detail TEXT NOT NULL,
  PRIMARY KEY (bed_id, alarm_id)
) WITHOUT ROWID;
INSERT INTO "alarms" VALUES(1,'a-1','unacknowledged',1,'',1795000020000,NULL,NULL,'');
CREATE TABLE api_tokens (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, made_utc_ms INTEGER NOT NULL,
  expires_utc_ms INTEGER, revoked_utc_ms INTEGER
) WITHOUT ROWID;
CREATE TABLE assignments (
  resident_id TEXT NOT NULL REFERENCES residents, bed_id INTEGER NOT NULL REFERENCES beds,
  from_utc_ms INTEGER NOT NULL, to_utc_ms INTEGER
);
CREATE TABLE beds (
  bed_id INTEGER PRIMARY KEY,
  gateway TEXT NOT NULL, bed TEXT NOT NULL, room TEXT NOT NULL DEFAULT '',
  UNIQUE (gateway, bed)
);
INSERT INTO "beds" VALUES(1,'gw-01','101-A','');
CREATE TABLE belt_events (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, bed_id INTEGER NOT NULL, belt TEXT NOT NULL,
  utc_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, event TEXT NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;
CREATE TABLE counters (
  name TEXT NOT NULL, slot INTEGER NOT NULL, value INTEGER NOT NULL,
  PRIMARY KEY (name, slot)
) WITHOUT ROWID;
INSERT INTO "counters" VALUES('alarm_events',11,1);
INSERT INTO "counters" VALUES('chunks',11,2);
INSERT INTO "counters" VALUES('items',11,3);
INSERT INTO "counters" VALUES('readings',11,120);
INSERT INTO "counters" VALUES('rejected',11,1);
CREATE TABLE devices (
  gateway TEXT NOT NULL, device TEXT NOT NULL, role TEXT NOT NULL, bed TEXT NOT NULL, utc_ms INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (gateway, device)
) WITHOUT ROWID;
CREATE TABLE gaps (
  stream_id INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, reason TEXT NOT NULL,
  noted_utc_ms INTEGER NOT NULL,
  PRIMARY KEY (stream_id, first_seq)
) WITHOUT ROWID;
CREATE TABLE nights (
  bed_id INTEGER NOT NULL, night_of TEXT NOT NULL, version INTEGER NOT NULL, utc_ms INTEGER NOT NULL,
  report BLOB NOT NULL,
  PRIMARY KEY (bed_id, night_of, version)
) WITHOUT ROWID;
CREATE TABLE packs (
  bed_id INTEGER NOT NULL, start_utc_ms INTEGER NOT NULL, end_utc_ms INTEGER NOT NULL, readings INTEGER NOT NULL,
  body BLOB NOT NULL
, minutes BLOB NOT NULL DEFAULT x'', holes INTEGER NOT NULL DEFAULT -1);
INSERT INTO "packs" VALUES(1,1795000020000,1795000140000,120,X'28B52FFD2502E575030043440D99EFEEBEB6B31DA598A6345560DE9E51D30E8D507FCA773B42A18992829BF1C101E8B06BE48A0C4421011E202982041C983615140418FCE0DE946227DBCC2935F48476A98D50603FFC5C24A142872396395C2C0599CD43B29DDA14EA918E6D3E45E2FF8A15540C3134381A44643DED',X'FF01DC3B900D78780202787803E203F001',0);
CREATE TABLE quarantine (
  digest BLOB PRIMARY KEY, gateway TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER, code TEXT NOT NULL,
  message TEXT NOT NULL, body BLOB NOT NULL, noted_utc_ms INTEGER NOT NULL
);
INSERT INTO "quarantine" VALUES(X'DAFE6A67F06307D2BB28967A7897B02BA6100B7CD09F4D87F034862B466E77D3','gw-01','vitals',3,'not_msgpack','not a msgpack value: ',X'C1706F69736F6E',1795003620000);
CREATE TABLE received (
  stream_id INTEGER NOT NULL, first_seq INTEGER NOT NULL, hashes BLOB NOT NULL,
  PRIMARY KEY (stream_id, first_seq)
) WITHOUT ROWID;
INSERT INTO "received" VALUES(1,1,X'432C28AF194175F4EAE909346D5107FDDAFE6A67F06307D2');
INSERT INTO "received" VALUES(2,1,X'2B2315C69C2F8FB1');
CREATE TABLE rejected (
  stream_id INTEGER NOT NULL, seq INTEGER NOT NULL, code TEXT NOT NULL,
  PRIMARY KEY (stream_id, seq)
) WITHOUT ROWID;
INSERT INTO "rejected" VALUES(1,3,'not_msgpack');
CREATE TABLE resident_names (
  resident_id TEXT PRIMARY KEY REFERENCES residents, nonce BLOB NOT NULL, sealed BLOB NOT NULL
);
CREATE TABLE residents (resident_id TEXT PRIMARY KEY, admitted_utc_ms INTEGER NOT NULL);
CREATE TABLE streams (
  stream_id INTEGER PRIMARY KEY,
  gateway TEXT NOT NULL, epoch TEXT NOT NULL, lane TEXT NOT NULL,
  audited INTEGER NOT NULL DEFAULT 1,         -- every seq below it has been looked for
  UNIQUE (gateway, epoch, lane)
);
INSERT INTO "streams" VALUES(1,'gw-01','e','vitals',1);
INSERT INTO "streams" VALUES(2,'gw-01','e','alarm',1);
CREATE TABLE webhook_deliveries (
  webhook TEXT NOT NULL, event_key TEXT NOT NULL, tries INTEGER NOT NULL,
  next_utc_ms INTEGER,                        -- NULL: done, delivered or given up
  tried_utc_ms INTEGER, error TEXT NOT NULL,  -- of the last try; an empty error: delivered
  PRIMARY KEY (webhook, event_key)
) WITHOUT ROWID;
CREATE TABLE webhook_events (
  event_key TEXT PRIMARY KEY, event TEXT NOT NULL, body TEXT NOT NULL, noted_utc_ms INTEGER NOT NULL
, resident_id TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
INSERT INTO "webhook_events" VALUES('alarm_raised:gw-01:101-A:a-1','alarm_raised','{"version":1,"key":"alarm_raised:gw-01:101-A:a-1","event":"alarm_raised","gateway":"gw-01","bed":"101-A","resident_id":null,"utc_ms":1795000020000,"alarm_id":"a-1","priority":"","level":1}',1795003620000,'');
CREATE TABLE webhooks (webhook TEXT PRIMARY KEY, since_utc_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE UNIQUE INDEX assignments_resident ON assignments (resident_id) WHERE to_utc_ms IS NULL;
CREATE UNIQUE INDEX assignments_bed ON assignments (bed_id) WHERE to_utc_ms IS NULL;
CREATE INDEX alarm_events_alarm ON alarm_events (bed_id, alarm_id);
CREATE INDEX alarm_events_time ON alarm_events (bed_id, utc_ms);
CREATE INDEX alarms_open ON alarms (raised_utc_ms) WHERE state <> 'closed';
CREATE INDEX belt_events_time ON belt_events (bed_id, utc_ms);
CREATE INDEX webhook_events_time ON webhook_events (noted_utc_ms);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_utc_ms) WHERE next_utc_ms IS NOT NULL;
CREATE INDEX webhook_events_resident ON webhook_events (resident_id);
CREATE INDEX packs_time ON packs (bed_id, start_utc_ms, end_utc_ms, holes);
COMMIT;
