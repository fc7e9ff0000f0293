-- Version 6: what came with a time that was not set waits for an anchor of the clock it was told by (provisional.py).
CREATE TABLE anchors (
  source TEXT NOT NULL, boot_id BIGINT NOT NULL, zero_utc_ms BIGINT NOT NULL,
  PRIMARY KEY (source, boot_id)
);
CREATE TABLE provisional (
  source TEXT NOT NULL, boot_id BIGINT NOT NULL, kind TEXT NOT NULL, place BIGINT NOT NULL, number BIGINT NOT NULL,
  elapsed_ms BIGINT NOT NULL,
  PRIMARY KEY (source, boot_id, kind, place, number)
);
