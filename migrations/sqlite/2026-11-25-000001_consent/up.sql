-- Consent: what was asked, what was granted, and the record of it ----------------------------------------------
-- Nothing here follows a ticket to another organisation: a consent was given by the organisation that gave it.

CREATE TABLE consent_wordings (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    version INTEGER NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('fr', 'en')),
    sha256 TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL CHECK (text <> ''),
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE consent_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL REFERENCES organisations (id),
    ticket_id BIGINT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    requested_by BIGINT NOT NULL REFERENCES people (id),
    subject_kind TEXT NOT NULL CHECK (subject_kind IN ('person', 'organisation')),
    subject_id BIGINT REFERENCES people (id),
    purpose TEXT NOT NULL CHECK (purpose <> ''),
    purpose_code TEXT NOT NULL CHECK (purpose_code IN ('fault', 'performance', 'usage')),
    scope TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('error', 'warn', 'info', 'debug', 'trace')),
    manifest TEXT NOT NULL,
    manifest_sha256 TEXT NOT NULL,
    duration_minutes INTEGER NOT NULL CHECK (duration_minutes BETWEEN 1 AND 1440),
    retention_days INTEGER NOT NULL CHECK (retention_days BETWEEN 1 AND 30),
    recipients TEXT NOT NULL,
    exports_allowed BOOLEAN NOT NULL,
    stop_condition TEXT NOT NULL,
    idle_minutes INTEGER CHECK (idle_minutes BETWEEN 5 AND 1440),
    wording_sha256 TEXT NOT NULL REFERENCES consent_wordings (sha256),
    language TEXT NOT NULL CHECK (language IN ('fr', 'en')),
    state TEXT NOT NULL CHECK (state IN ('requested', 'awaiting_second', 'granted', 'refused', 'lapsed', 'cancelled')),
    pending_choice TEXT,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    decided_by BIGINT REFERENCES people (id),
    decided_at TIMESTAMP,
    UNIQUE (organisation_id, id),
    CHECK ((subject_kind = 'person') = (subject_id IS NOT NULL)),
    CHECK ((state IN ('requested', 'awaiting_second')) = (decided_at IS NULL)),
    CHECK (state NOT IN ('granted', 'refused') OR decided_by IS NOT NULL),
    CHECK (state <> 'awaiting_second' OR pending_choice IS NOT NULL),
    CHECK (expires_at > created_at),
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id)
);
CREATE INDEX consent_requests_of_ticket ON consent_requests (ticket_id, id);
CREATE INDEX consent_requests_of_organisation ON consent_requests (organisation_id, id);
CREATE INDEX consent_requests_open ON consent_requests (expires_at, id) WHERE state IN ('requested', 'awaiting_second');

CREATE TABLE consent_grants (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL REFERENCES organisations (id),
    ticket_id BIGINT NOT NULL,
    request_id BIGINT NOT NULL UNIQUE,
    handle TEXT NOT NULL UNIQUE,
    subject_kind TEXT NOT NULL CHECK (subject_kind IN ('person', 'organisation')),
    subject_id BIGINT REFERENCES people (id),
    basis TEXT NOT NULL CHECK (basis IN ('consent', 'instruction')),
    granted_by BIGINT NOT NULL REFERENCES people (id),
    seconded_by BIGINT REFERENCES people (id),
    scope TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('error', 'warn', 'info', 'debug', 'trace')),
    duration_minutes INTEGER NOT NULL CHECK (duration_minutes BETWEEN 1 AND 1440),
    retention_days INTEGER NOT NULL CHECK (retention_days BETWEEN 1 AND 30),
    exports_allowed BOOLEAN NOT NULL,
    stop_condition TEXT NOT NULL,
    idle_minutes INTEGER CHECK (idle_minutes BETWEEN 5 AND 1440),
    state TEXT NOT NULL CHECK (state IN ('active', 'ended')),
    end_reason TEXT CHECK (end_reason IN ('withdrawn', 'expired', 'stopped_by_operator', 'ticket_closed', 'unassigned',
        'reproduced', 'unread', 'clock_doubt', 'membership_ended')),
    granted_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    last_viewed_at TIMESTAMP,
    ended_at TIMESTAMP,
    kept_until TIMESTAMP,
    destroyed_at TIMESTAMP,
    version BIGINT NOT NULL,
    UNIQUE (organisation_id, id),
    CHECK ((subject_kind = 'person') = (subject_id IS NOT NULL)),
    CHECK ((subject_kind = 'person') = (basis = 'consent')),
    CHECK (subject_kind <> 'person' OR subject_id = granted_by),
    CHECK (seconded_by IS NULL OR seconded_by <> granted_by),
    CHECK (subject_kind <> 'organisation' OR level <> 'trace' OR seconded_by IS NOT NULL),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((state = 'ended') = (end_reason IS NOT NULL)),
    CHECK ((state = 'ended') = (kept_until IS NOT NULL)),
    CHECK (destroyed_at IS NULL OR state = 'ended'),
    CHECK (expires_at > granted_at),
    CHECK (strftime('%s', expires_at) - strftime('%s', granted_at) <= duration_minutes * 60 + 1),
    FOREIGN KEY (organisation_id, request_id) REFERENCES consent_requests (organisation_id, id),
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id)
);
CREATE UNIQUE INDEX consent_grants_of_organisation ON consent_grants (organisation_id)
    WHERE state = 'active' AND subject_kind = 'organisation';
CREATE UNIQUE INDEX consent_grants_of_person ON consent_grants (subject_id)
    WHERE state = 'active' AND subject_kind = 'person';
CREATE INDEX consent_grants_active ON consent_grants (expires_at, id) WHERE state = 'active';
CREATE INDEX consent_grants_kept ON consent_grants (kept_until, id) WHERE state = 'ended' AND destroyed_at IS NULL;
CREATE INDEX consent_grants_of_ticket ON consent_grants (ticket_id, id);
CREATE INDEX consent_grants_all ON consent_grants (organisation_id, id);

CREATE TABLE consent_links (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    opens TEXT NOT NULL CHECK (opens IN ('question', 'stop')),
    organisation_id BIGINT NOT NULL,
    request_id BIGINT NOT NULL,
    person_id BIGINT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    FOREIGN KEY (organisation_id, request_id) REFERENCES consent_requests (organisation_id, id)
);
CREATE INDEX consent_links_expiring ON consent_links (expires_at);

CREATE TABLE consent_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    request_id BIGINT NOT NULL,
    grant_id BIGINT,
    number INTEGER NOT NULL CHECK (number >= 1),
    kind TEXT NOT NULL CHECK (kind IN ('requested', 'approved', 'granted', 'granted_narrower', 'refused', 'lapsed',
        'cancelled', 'withdrawn', 'expired', 'stopped', 'destroyed')),
    actor TEXT NOT NULL CHECK (actor IN ('customer', 'staff', 'system')),
    actor_id BIGINT REFERENCES people (id),
    body TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (request_id, number),
    CHECK ((actor = 'system') = (actor_id IS NULL)),
    FOREIGN KEY (organisation_id, request_id) REFERENCES consent_requests (organisation_id, id),
    FOREIGN KEY (organisation_id, grant_id) REFERENCES consent_grants (organisation_id, id)
);

CREATE TABLE consent_receipts (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    grant_id BIGINT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('receipt', 'certificate')),
    document TEXT NOT NULL,
    signature TEXT NOT NULL,
    key_id TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (grant_id, kind),
    FOREIGN KEY (organisation_id, grant_id) REFERENCES consent_grants (organisation_id, id)
);

-- What a grant opened: sealed, counted, read under record, destroyed --------------------------------------------

CREATE TABLE trace_keys (
    grant_id BIGINT PRIMARY KEY NOT NULL REFERENCES consent_grants (id),
    wrapped_key BLOB NOT NULL,
    wrapping_key_id TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE trace_chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    grant_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    channel TEXT NOT NULL CHECK (channel IN ('server', 'otlp')),
    sealed BLOB NOT NULL,
    tag BLOB NOT NULL,
    previous_tag BLOB NOT NULL,
    records INTEGER NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (grant_id, number),
    FOREIGN KEY (organisation_id, grant_id) REFERENCES consent_grants (organisation_id, id)
);

CREATE TABLE trace_counters (
    grant_id BIGINT PRIMARY KEY NOT NULL REFERENCES consent_grants (id),
    captured BIGINT NOT NULL,
    dropped_full BIGINT NOT NULL,
    dropped_budget BIGINT NOT NULL,
    out_of_scope BIGINT NOT NULL,
    late BIGINT NOT NULL,
    redacted TEXT NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE reading_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    grant_id BIGINT NOT NULL,
    reader_id BIGINT NOT NULL REFERENCES people (id),
    reader_kind TEXT NOT NULL CHECK (reader_kind IN ('staff', 'customer')),
    action TEXT NOT NULL CHECK (action IN ('view', 'search', 'export', 'live', 'api')),
    detail TEXT NOT NULL,
    records BIGINT NOT NULL,
    reason TEXT NOT NULL,
    number BIGINT NOT NULL CHECK (number >= 1),
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (grant_id, number),
    FOREIGN KEY (organisation_id, grant_id) REFERENCES consent_grants (organisation_id, id)
);
CREATE INDEX reading_records_of ON reading_records (grant_id, id);

CREATE TABLE sampling_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    key_hash BLOB NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL,
    revoked_at TIMESTAMP
);
CREATE INDEX sampling_keys_of ON sampling_keys (organisation_id);

-- The life of a consent, and evidence that is only added to ----------------------------------------------------

CREATE TRIGGER consent_requests_begin BEFORE INSERT ON consent_requests
    WHEN new.state <> 'requested' OR new.decided_by IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'a request begins as one');
END;
CREATE TRIGGER consent_requests_move BEFORE UPDATE ON consent_requests
    WHEN NOT (
        new.state = old.state
        OR (old.state = 'requested' AND new.state IN ('awaiting_second', 'granted', 'refused', 'lapsed', 'cancelled'))
        OR (old.state = 'awaiting_second' AND new.state IN ('granted', 'refused', 'lapsed', 'cancelled'))
    )
BEGIN
    SELECT RAISE(ABORT, 'no such step in the life of a request');
END;
CREATE TRIGGER consent_requests_asked BEFORE UPDATE OF
    organisation_id, ticket_id, handle, requested_by, subject_kind, subject_id, purpose, purpose_code,
    scope, level, manifest, manifest_sha256, duration_minutes, retention_days, recipients, exports_allowed,
    stop_condition, idle_minutes, wording_sha256, language, created_at, expires_at
    ON consent_requests
BEGIN
    SELECT RAISE(ABORT, 'what was asked does not change');
END;
CREATE TRIGGER consent_grants_begin BEFORE INSERT ON consent_grants
    WHEN new.state <> 'active'
BEGIN
    SELECT RAISE(ABORT, 'a grant begins active');
END;
CREATE TRIGGER consent_grants_asked BEFORE INSERT ON consent_grants
    WHEN NOT EXISTS (
        SELECT 1 FROM consent_requests AS asked WHERE asked.id = new.request_id AND asked.state = 'granted'
            AND asked.ticket_id = new.ticket_id
            AND asked.duration_minutes >= new.duration_minutes AND asked.retention_days >= new.retention_days
            AND (asked.exports_allowed OR NOT new.exports_allowed)
            AND (asked.subject_kind = 'organisation' OR asked.subject_id = new.subject_id)
    )
BEGIN
    SELECT RAISE(ABORT, 'more than was asked');
END;
CREATE TRIGGER consent_grants_grantor BEFORE INSERT ON consent_grants
    WHEN NOT EXISTS (
        SELECT 1 FROM memberships AS place WHERE place.person_id = new.granted_by
            AND place.organisation_id = new.organisation_id
            AND (new.subject_kind = 'person' OR place.grants_tracing)
    ) OR (new.seconded_by IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM memberships AS place WHERE place.person_id = new.seconded_by
            AND place.organisation_id = new.organisation_id AND place.grants_tracing
    )) OR EXISTS (
        SELECT 1 FROM staff_members AS staff WHERE staff.person_id = new.granted_by OR staff.person_id = new.seconded_by
    )
BEGIN
    SELECT RAISE(ABORT, 'this person cannot grant that');
END;
CREATE TRIGGER consent_grants_move BEFORE UPDATE ON consent_grants
    WHEN new.state = 'active' AND old.state = 'ended'
        OR old.state = 'ended' AND (new.ended_at <> old.ended_at OR new.end_reason <> old.end_reason
            OR new.kept_until > old.kept_until)
        OR old.destroyed_at IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an ended grant stays ended');
END;
CREATE TRIGGER consent_grants_granted BEFORE UPDATE OF
    organisation_id, ticket_id, request_id, handle, subject_kind, subject_id, basis, granted_by,
    seconded_by, scope, level, duration_minutes, retention_days, exports_allowed, stop_condition, idle_minutes,
    granted_at, expires_at
    ON consent_grants
BEGIN
    SELECT RAISE(ABORT, 'what was granted does not change');
END;
CREATE TRIGGER consent_wordings_kept BEFORE UPDATE ON consent_wordings
BEGIN
    SELECT RAISE(ABORT, 'evidence is only added to');
END;
CREATE TRIGGER consent_events_kept BEFORE UPDATE ON consent_events
BEGIN
    SELECT RAISE(ABORT, 'evidence is only added to');
END;
CREATE TRIGGER consent_receipts_kept BEFORE UPDATE ON consent_receipts
BEGIN
    SELECT RAISE(ABORT, 'evidence is only added to');
END;
CREATE TRIGGER reading_records_kept BEFORE UPDATE ON reading_records
BEGIN
    SELECT RAISE(ABORT, 'evidence is only added to');
END;
CREATE TRIGGER consent_wordings_stay BEFORE DELETE ON consent_wordings
BEGIN
    SELECT RAISE(ABORT, 'evidence is not removed');
END;
CREATE TRIGGER consent_requests_stay BEFORE DELETE ON consent_requests
BEGIN
    SELECT RAISE(ABORT, 'evidence is not removed');
END;
CREATE TRIGGER consent_grants_stay BEFORE DELETE ON consent_grants
BEGIN
    SELECT RAISE(ABORT, 'evidence is not removed');
END;
CREATE TRIGGER consent_events_stay BEFORE DELETE ON consent_events
BEGIN
    SELECT RAISE(ABORT, 'evidence is not removed');
END;
CREATE TRIGGER consent_receipts_stay BEFORE DELETE ON consent_receipts
BEGIN
    SELECT RAISE(ABORT, 'evidence is not removed');
END;
CREATE TRIGGER reading_records_stay BEFORE DELETE ON reading_records
BEGIN
    SELECT RAISE(ABORT, 'evidence is not removed');
END;
