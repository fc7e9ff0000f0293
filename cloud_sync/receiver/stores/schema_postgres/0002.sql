-- Version 2: tokens of the HTTP API; what webhooks are told, and what became of it (schema/0003.sql says more).
CREATE TABLE api_tokens (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, hash BYTEA NOT NULL UNIQUE, made_utc_ms BIGINT NOT NULL,
  expires_utc_ms BIGINT, revoked_utc_ms BIGINT
);
CREATE TABLE webhook_events (
  event_key TEXT PRIMARY KEY, event TEXT NOT NULL, body TEXT NOT NULL, noted_utc_ms BIGINT NOT NULL
);
CREATE INDEX webhook_events_time ON webhook_events (noted_utc_ms);
CREATE TABLE webhooks (webhook TEXT PRIMARY KEY, since_utc_ms BIGINT NOT NULL);
CREATE TABLE webhook_deliveries (
  webhook TEXT NOT NULL, event_key TEXT NOT NULL, tries INTEGER NOT NULL,
  next_utc_ms BIGINT,
  tried_utc_ms BIGINT, error TEXT NOT NULL,
  PRIMARY KEY (webhook, event_key)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_utc_ms) WHERE next_utc_ms IS NOT NULL;
