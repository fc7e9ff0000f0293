CREATE TABLE public.accounts (
    name text NOT NULL,
    role text NOT NULL,
    pin text NOT NULL
);
CREATE TABLE public.alarm_events (
    stream_id integer NOT NULL,
    seq bigint NOT NULL,
    bed_id integer NOT NULL,
    alarm_id text NOT NULL,
    utc_ms bigint NOT NULL,
    trusted integer NOT NULL,
    event text NOT NULL,
    detail text NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.alarms (
    bed_id integer NOT NULL,
    alarm_id text NOT NULL,
    state text NOT NULL,
    level integer NOT NULL,
    priority text NOT NULL,
    raised_utc_ms bigint NOT NULL,
    acknowledged_utc_ms bigint,
    ended_utc_ms bigint,
    detail text NOT NULL
);
CREATE TABLE public.api_tokens (
    name text NOT NULL,
    role text NOT NULL,
    hash bytea NOT NULL,
    made_utc_ms bigint NOT NULL,
    expires_utc_ms bigint,
    revoked_utc_ms bigint
);
CREATE TABLE public.assignments (
    resident_id text NOT NULL,
    bed_id integer NOT NULL,
    from_utc_ms bigint NOT NULL,
    to_utc_ms bigint
);
CREATE TABLE public.audit (
    number bigint NOT NULL,
    utc_ms bigint NOT NULL,
    kind text NOT NULL,
    account text NOT NULL,
    role text NOT NULL,
    resident_id text NOT NULL,
    detail text NOT NULL
);
ALTER TABLE public.audit ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.beds (
    bed_id integer NOT NULL,
    gateway text NOT NULL,
    bed text NOT NULL,
    room text DEFAULT ''::text NOT NULL
);
ALTER TABLE public.beds ALTER COLUMN bed_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.beds_bed_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.belt_events (
    stream_id integer NOT NULL,
    seq bigint NOT NULL,
    bed_id integer NOT NULL,
    belt text NOT NULL,
    utc_ms bigint NOT NULL,
    trusted integer NOT NULL,
    event text NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.consents (
    resident_id text NOT NULL,
    data_class text NOT NULL,
    given integer NOT NULL,
    since_utc_ms bigint NOT NULL,
    account text NOT NULL
);
CREATE TABLE public.counters (
    name text NOT NULL,
    slot integer NOT NULL,
    value bigint NOT NULL
);
CREATE TABLE public.devices (
    gateway text NOT NULL,
    device text NOT NULL,
    role text NOT NULL,
    bed text NOT NULL,
    utc_ms bigint NOT NULL,
    body bytea NOT NULL
);
CREATE TABLE public.gaps (
    stream_id integer NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    reason text NOT NULL,
    noted_utc_ms bigint NOT NULL
);
CREATE TABLE public.nights (
    bed_id integer NOT NULL,
    night_of text NOT NULL,
    version integer NOT NULL,
    utc_ms bigint NOT NULL,
    report bytea NOT NULL
);
CREATE TABLE public.packs (
    bed_id integer NOT NULL,
    start_utc_ms bigint NOT NULL,
    end_utc_ms bigint NOT NULL,
    readings integer NOT NULL,
    body bytea NOT NULL,
    minutes bytea DEFAULT '\x'::bytea NOT NULL,
    holes smallint DEFAULT '-1'::integer NOT NULL
)
PARTITION BY RANGE (start_utc_ms);
ALTER TABLE ONLY public.packs ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE public.packs_20261118 (
    bed_id integer NOT NULL,
    start_utc_ms bigint NOT NULL,
    end_utc_ms bigint NOT NULL,
    readings integer NOT NULL,
    body bytea NOT NULL,
    minutes bytea DEFAULT '\x'::bytea NOT NULL,
    holes smallint DEFAULT '-1'::integer NOT NULL
);
ALTER TABLE ONLY public.packs_20261118 ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE public.packs_other (
    bed_id integer NOT NULL,
    start_utc_ms bigint NOT NULL,
    end_utc_ms bigint NOT NULL,
    readings integer NOT NULL,
    body bytea NOT NULL,
    minutes bytea DEFAULT '\x'::bytea NOT NULL,
    holes smallint DEFAULT '-1'::integer NOT NULL
);
ALTER TABLE ONLY public.packs_other ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE public.people_files (
    file text NOT NULL
);
CREATE TABLE public.quarantine (
    digest bytea NOT NULL,
    gateway text NOT NULL,
    lane text NOT NULL,
    seq bigint,
    code text NOT NULL,
    message text NOT NULL,
    body bytea NOT NULL,
    noted_utc_ms bigint NOT NULL
);
CREATE TABLE public.received (
    stream_id integer NOT NULL,
    first_seq bigint NOT NULL,
    hashes bytea NOT NULL
);
ALTER TABLE ONLY public.received ALTER COLUMN hashes SET STORAGE PLAIN;
CREATE TABLE public.rejected (
    stream_id integer NOT NULL,
    seq bigint NOT NULL,
    code text NOT NULL
);
CREATE TABLE public.resident_names (
    resident_id text NOT NULL,
    nonce bytea NOT NULL,
    sealed bytea NOT NULL
);
CREATE TABLE public.residents (
    resident_id text NOT NULL,
    admitted_utc_ms bigint NOT NULL
);
CREATE TABLE public.retention (
    data_class text NOT NULL,
    days integer NOT NULL
);
CREATE TABLE public.sleepbelt_schema (
    version integer NOT NULL
);
CREATE TABLE public.streams (
    stream_id integer NOT NULL,
    gateway text NOT NULL,
    epoch text NOT NULL,
    lane text NOT NULL,
    audited bigint DEFAULT 1 NOT NULL
);
ALTER TABLE public.streams ALTER COLUMN stream_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.streams_stream_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.unwatched (
    number bigint NOT NULL,
    gateway text NOT NULL,
    bed text NOT NULL,
    reason text NOT NULL,
    from_utc_ms bigint NOT NULL,
    to_utc_ms bigint NOT NULL
);
ALTER TABLE public.unwatched ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.unwatched_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.webhook_deliveries (
    webhook text NOT NULL,
    event_key text NOT NULL,
    tries integer NOT NULL,
    next_utc_ms bigint,
    tried_utc_ms bigint,
    error text NOT NULL
);
CREATE TABLE public.webhook_events (
    event_key text NOT NULL,
    event text NOT NULL,
    body text NOT NULL,
    noted_utc_ms bigint NOT NULL,
    resident_id text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.webhooks (
    webhook text NOT NULL,
    since_utc_ms bigint NOT NULL
);
ALTER TABLE ONLY public.packs ATTACH PARTITION public.packs_20261118 FOR VALUES FROM ('1794960000000') TO ('1795046400000');
ALTER TABLE ONLY public.packs ATTACH PARTITION public.packs_other DEFAULT;
INSERT INTO public.alarm_events VALUES (2, 1, 1, 'a-1', 1795000020000, 1, 'alarm_raise', '', '\x85000101a53130312d4102940700cf000001a1ee56ac20c303ab616c61726d5f726169736505a3612d31');
INSERT INTO public.alarms VALUES (1, 'a-1', 'unacknowledged', 1, '', 1795000020000, NULL, NULL, '');
INSERT INTO public.beds OVERRIDING SYSTEM VALUE VALUES (1, 'gw-01', '101-A', '');
INSERT INTO public.counters VALUES ('chunks', 11, 2);
INSERT INTO public.counters VALUES ('readings', 11, 120);
INSERT INTO public.counters VALUES ('rejected', 11, 1);
INSERT INTO public.counters VALUES ('alarm_events', 11, 1);
INSERT INTO public.counters VALUES ('items', 11, 3);
INSERT INTO public.packs_20261118 VALUES (1, 1795000020000, 1795000140000, 120, '\x28b52ffd2502e575030043440d99efeebeb6b31da598a6345560de9e51d30e8d507fca773b42a18992829bf1c101e8b06be48a0c4421011e202982041c983615140418fce0de946227dbcc2935f48476a98d50603ffc5c24a142872396395c2c0599cd43b29dda14ea918e6d3e45e2ff8a15540c3134381a44643ded', '\xff01dc3b900d78780202787803e203f001', 0);
INSERT INTO public.quarantine VALUES ('\xdafe6a67f06307d2bb28967a7897b02ba6100b7cd09f4d87f034862b466e77d3', 'gw-01', 'vitals', 3, 'not_msgpack', 'not a msgpack value: ', '\xc1706f69736f6e', 1795003620000);
INSERT INTO public.received VALUES (1, 1, '\x432c28af194175f4eae909346d5107fddafe6a67f06307d2');
INSERT INTO public.received VALUES (2, 1, '\x2b2315c69c2f8fb1');
INSERT INTO public.rejected VALUES (1, 3, 'not_msgpack');
INSERT INTO public.sleepbelt_schema VALUES (1);
INSERT INTO public.sleepbelt_schema VALUES (2);
INSERT INTO public.sleepbelt_schema VALUES (3);
INSERT INTO public.sleepbelt_schema VALUES (4);
INSERT INTO public.sleepbelt_schema VALUES (5);
INSERT INTO public.streams OVERRIDING SYSTEM VALUE VALUES (1, 'gw-01', 'e', 'vitals', 1);
INSERT INTO public.streams OVERRIDING SYSTEM VALUE VALUES (2, 'gw-01', 'e', 'alarm', 1);
INSERT INTO public.webhook_events VALUES ('alarm_raised:gw-01:101-A:a-1', 'alarm_raised', '{"version":1,"key":"alarm_raised:gw-01:101-A:a-1","event":"alarm_raised","gateway":"gw-01","bed":"101-A","resident_id":null,"utc_ms":1795000020000,"alarm_id":"a-1","priority":"","level":1}', 1795003620000, '');
SELECT pg_catalog.setval('public.audit_number_seq', 1, false);
SELECT pg_catalog.setval('public.beds_bed_id_seq', 1, true);
SELECT pg_catalog.setval('public.streams_stream_id_seq', 2, true);
SELECT pg_catalog.setval('public.unwatched_number_seq', 1, false);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.alarm_events
    ADD CONSTRAINT alarm_events_pkey PRIMARY KEY (stream_id, seq);
ALTER TABLE ONLY public.alarms
    ADD CONSTRAINT alarms_pkey PRIMARY KEY (bed_id, alarm_id);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_hash_key UNIQUE (hash);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.beds
    ADD CONSTRAINT beds_gateway_bed_key UNIQUE (gateway, bed);
ALTER TABLE ONLY public.beds
    ADD CONSTRAINT beds_pkey PRIMARY KEY (bed_id);
ALTER TABLE ONLY public.belt_events
    ADD CONSTRAINT belt_events_pkey PRIMARY KEY (stream_id, seq);
ALTER TABLE ONLY public.consents
    ADD CONSTRAINT consents_pkey PRIMARY KEY (resident_id, data_class);
ALTER TABLE ONLY public.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (name, slot);
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT devices_pkey PRIMARY KEY (gateway, device);
ALTER TABLE ONLY public.gaps
    ADD CONSTRAINT gaps_pkey PRIMARY KEY (stream_id, first_seq);
ALTER TABLE ONLY public.nights
    ADD CONSTRAINT nights_pkey PRIMARY KEY (bed_id, night_of, version);
ALTER TABLE ONLY public.people_files
    ADD CONSTRAINT people_files_pkey PRIMARY KEY (file);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.received
    ADD CONSTRAINT received_pkey PRIMARY KEY (stream_id, first_seq);
ALTER TABLE ONLY public.rejected
    ADD CONSTRAINT rejected_pkey PRIMARY KEY (stream_id, seq);
ALTER TABLE ONLY public.resident_names
    ADD CONSTRAINT resident_names_pkey PRIMARY KEY (resident_id);
ALTER TABLE ONLY public.residents
    ADD CONSTRAINT residents_pkey PRIMARY KEY (resident_id);
ALTER TABLE ONLY public.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (data_class);
ALTER TABLE ONLY public.sleepbelt_schema
    ADD CONSTRAINT sleepbelt_schema_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.streams
    ADD CONSTRAINT streams_gateway_epoch_lane_key UNIQUE (gateway, epoch, lane);
ALTER TABLE ONLY public.streams
    ADD CONSTRAINT streams_pkey PRIMARY KEY (stream_id);
ALTER TABLE ONLY public.unwatched
    ADD CONSTRAINT unwatched_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (webhook, event_key);
ALTER TABLE ONLY public.webhook_events
    ADD CONSTRAINT webhook_events_pkey PRIMARY KEY (event_key);
ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (webhook);
CREATE INDEX alarm_events_alarm ON public.alarm_events USING btree (bed_id, alarm_id);
CREATE INDEX alarm_events_time ON public.alarm_events USING btree (bed_id, utc_ms);
CREATE INDEX alarms_open ON public.alarms USING btree (raised_utc_ms) WHERE (state <> 'closed'::text);
CREATE UNIQUE INDEX assignments_bed ON public.assignments USING btree (bed_id) WHERE (to_utc_ms IS NULL);
CREATE UNIQUE INDEX assignments_resident ON public.assignments USING btree (resident_id) WHERE (to_utc_ms IS NULL);
CREATE INDEX audit_resident ON public.audit USING btree (resident_id, utc_ms);
CREATE INDEX belt_events_time ON public.belt_events USING btree (bed_id, utc_ms);
CREATE INDEX packs_time ON ONLY public.packs USING btree (bed_id, start_utc_ms);
CREATE INDEX packs_20261118_bed_id_start_utc_ms_idx ON public.packs_20261118 USING btree (bed_id, start_utc_ms);
CREATE INDEX packs_other_bed_id_start_utc_ms_idx ON public.packs_other USING btree (bed_id, start_utc_ms);
CREATE INDEX unwatched_time ON public.unwatched USING btree (to_utc_ms);
CREATE INDEX webhook_deliveries_due ON public.webhook_deliveries USING btree (webhook, next_utc_ms) WHERE (next_utc_ms IS NOT NULL);
CREATE INDEX webhook_events_resident ON public.webhook_events USING btree (resident_id);
CREATE INDEX webhook_events_time ON public.webhook_events USING btree (noted_utc_ms);
ALTER INDEX public.packs_time ATTACH PARTITION public.packs_20261118_bed_id_start_utc_ms_idx;
ALTER INDEX public.packs_time ATTACH PARTITION public.packs_other_bed_id_start_utc_ms_idx;
ALTER TABLE ONLY public.assignments
    ADD CONSTRAINT assignments_bed_id_fkey FOREIGN KEY (bed_id) REFERENCES public.beds(bed_id);
ALTER TABLE ONLY public.assignments
    ADD CONSTRAINT assignments_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES public.residents(resident_id);
ALTER TABLE ONLY public.resident_names
    ADD CONSTRAINT resident_names_resident_id_fkey FOREIGN KEY (resident_id) REFERENCES public.residents(resident_id);
