-- A vitals file as the first version of the gateway wrote it (sqlite3 .dump).
BEGIN TRANSACTION;
CREATE TABLE chunks(
  epoch TEXT NOT NULL, seq INTEGER NOT NULL, bed TEXT NOT NULL, start_utc_ms INTEGER NOT NULL, body BLOB NOT NULL,
  crc INTEGER NOT NULL, floor INTEGER NOT NULL, UNIQUE(epoch, seq));
INSERT INTO "chunks" VALUES('0123456789abcdef',1,'A',1700000000000,X'6368756E6B',2500227374,1);
INSERT INTO "chunks" VALUES('0123456789abcdef',3,'A',1700000060000,X'6368756E6B',2500227374,1);
CREATE INDEX chunks_of_bed ON chunks(bed, start_utc_ms);
COMMIT;
