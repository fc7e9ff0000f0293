-- Version 4: whose event it is, so that an erasure finds it.
ALTER TABLE webhook_events ADD COLUMN resident_id TEXT NOT NULL DEFAULT '';
CREATE INDEX webhook_events_resident ON webhook_events (resident_id);
