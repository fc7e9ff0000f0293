-- Version 6: what came with a time that was not set waits for an anchor of the clock it was told by (provisional.py).
CREATE TABLE anchors (
  source TEXT NOT NULL, boot_id INTEGER NOT NULL, zero_utc_ms INTEGER NOT NULL,
  PRIMARY KEY (source, boot_id)
) WITHOUT ROWID;
CREATE TABLE provisional (
  source TEXT NOT NULL, boot_id INTEGER NOT NULL, kind TEXT NOT NULL, place INTEGER NOT NULL, number INTEGER NOT NULL,
  elapsed_ms INTEGER NOT NULL,
  PRIMARY KEY (source, boot_id, kind, place, number)
) WITHOUT ROWID;
