-- Version 3: tokens of the HTTP API; what webhooks are told, and what became of it.

-- A token is 256 random bits: its SHA-256 needs no salt. No row is deleted, so that a name never means two tokens.
CREATE TABLE api_tokens (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, made_utc_ms INTEGER NOT NULL,
  expires_utc_ms INTEGER, revoked_utc_ms INTEGER
) WITHOUT ROWID;

-- Written in the transaction that stores what it tells of; the key is the same however often that comes.
CREATE TABLE webhook_events (
  event_key TEXT PRIMARY KEY, event TEXT NOT NULL, body TEXT NOT NULL, noted_utc_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX webhook_events_time ON webhook_events (noted_utc_ms);
-- An endpoint is told what was noted since it is there.
CREATE TABLE webhooks (webhook TEXT PRIMARY KEY, since_utc_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE webhook_deliveries (
  webhook TEXT NOT NULL, event_key TEXT NOT NULL, tries INTEGER NOT NULL,
  next_utc_ms INTEGER,                        -- NULL: done, delivered or given up
  tried_utc_ms INTEGER, error TEXT NOT NULL,  -- of the last try; an empty error: delivered
  PRIMARY KEY (webhook, event_key)
) WITHOUT ROWID;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_utc_ms) WHERE next_utc_ms IS NOT NULL;
