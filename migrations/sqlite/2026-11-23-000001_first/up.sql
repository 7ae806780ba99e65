-- The installation -----------------------------------------------------------

CREATE TABLE settings (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

-- Organisations, people, configuration data ------------------------------------

CREATE TABLE organisations (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('operator', 'company', 'individual')),
    name TEXT NOT NULL CHECK (name <> ''),
    sort_name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('prospect', 'customer', 'former')),
    contract_started_on DATE,
    contract_ended_on DATE,
    address_lines TEXT NOT NULL,
    postal_code TEXT NOT NULL,
    city TEXT NOT NULL,
    country TEXT NOT NULL,
    vat_number TEXT NOT NULL,
    telephone TEXT NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('fr', 'en')),
    colleagues_see_tickets BOOLEAN NOT NULL,
    declines_reference BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX organisations_by_name ON organisations (sort_name, id);
CREATE INDEX organisations_by_kind ON organisations (kind, sort_name, id);
CREATE UNIQUE INDEX organisations_operator ON organisations (kind) WHERE kind = 'operator';

CREATE TABLE people (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    job_title TEXT NOT NULL,
    telephone TEXT NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('fr', 'en')),
    time_zone TEXT NOT NULL,
    theme TEXT NOT NULL CHECK (theme IN ('system', 'light', 'dark')),
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled')),
    origin TEXT NOT NULL CHECK (origin IN ('setup', 'registration', 'form', 'mail', 'staff', 'member', 'api')),
    mailed_about_tickets BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX people_by_name ON people (sort_name, id);

CREATE TABLE person_addresses (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    person_id BIGINT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    canonical TEXT NOT NULL UNIQUE,
    is_primary BOOLEAN NOT NULL,
    confirmed_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX person_addresses_of ON person_addresses (person_id);
CREATE UNIQUE INDEX person_addresses_primary ON person_addresses (person_id) WHERE is_primary;

CREATE TABLE memberships (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    person_id BIGINT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    organisation_id BIGINT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    sees_all_tickets BOOLEAN NOT NULL,
    manages_organisation BOOLEAN NOT NULL,
    grants_tracing BOOLEAN NOT NULL,
    is_contact BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (person_id, organisation_id)
);
CREATE INDEX memberships_of_organisation ON memberships (organisation_id, person_id);
CREATE UNIQUE INDEX memberships_contact ON memberships (organisation_id) WHERE is_contact;

CREATE TABLE sites (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    handle TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL CHECK (name <> ''),
    address TEXT NOT NULL,
    person_in_charge TEXT NOT NULL,
    telephone TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (organisation_id, id)
);

CREATE TABLE environments (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
    site_id BIGINT,
    handle TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL CHECK (name <> ''),
    operating_system TEXT NOT NULL,
    remarks TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id)
);

CREATE TABLE environment_components (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    environment_id BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('product', 'component')),
    name TEXT NOT NULL CHECK (name <> ''),
    component_version TEXT NOT NULL,
    FOREIGN KEY (organisation_id, environment_id) REFERENCES environments (organisation_id, id) ON DELETE CASCADE
);
CREATE INDEX environment_components_of ON environment_components (organisation_id, environment_id);

-- Staff ------------------------------------------------------------------------

CREATE TABLE staff_roles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    builtin TEXT CHECK (builtin IN ('agent', 'supervisor', 'administrator', 'privacy_officer')),
    name TEXT NOT NULL CHECK (name <> ''),
    permissions TEXT NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX staff_roles_builtin ON staff_roles (builtin) WHERE builtin IS NOT NULL;

CREATE TABLE staff_members (
    person_id BIGINT PRIMARY KEY NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    undertaking_version INTEGER,
    undertaking_accepted_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE staff_member_roles (
    person_id BIGINT NOT NULL REFERENCES staff_members (person_id) ON DELETE CASCADE,
    staff_role_id BIGINT NOT NULL REFERENCES staff_roles (id),
    PRIMARY KEY (person_id, staff_role_id)
);

-- Signing in ---------------------------------------------------------------------

CREATE TABLE passwords (
    person_id BIGINT PRIMARY KEY NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    changed_at TIMESTAMP NOT NULL
);

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    token_hash BLOB NOT NULL UNIQUE,
    person_id BIGINT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    remembered BOOLEAN NOT NULL,
    ip_address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    proven_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    last_seen_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX sessions_of ON sessions (person_id);
CREATE INDEX sessions_expiring ON sessions (expires_at);

CREATE TABLE one_time_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    purpose TEXT NOT NULL CHECK (purpose IN ('setup', 'sign_in', 'password', 'invitation', 'address', 'registration')),
    person_id BIGINT REFERENCES people (id) ON DELETE CASCADE,
    payload TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    used_at TIMESTAMP
);
CREATE INDEX one_time_tokens_of ON one_time_tokens (person_id, purpose);
CREATE INDEX one_time_tokens_expiring ON one_time_tokens (expires_at);

CREATE TABLE throttles (
    name TEXT PRIMARY KEY NOT NULL,
    spent DOUBLE PRECISION NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    blocked_until TIMESTAMP
);
CREATE INDEX throttles_updated ON throttles (updated_at);

CREATE TABLE api_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL CHECK (name <> ''),
    secret_hash BLOB NOT NULL UNIQUE,
    person_id BIGINT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    organisation_id BIGINT REFERENCES organisations (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    last_used_at TIMESTAMP,
    revoked_at TIMESTAMP
);
CREATE INDEX api_tokens_of ON api_tokens (person_id);

-- Queues and mailboxes -------------------------------------------------------------

CREATE TABLE queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('support', 'sales', 'general', 'billing', 'complaint', 'privacy', 'intervention')),
    name_fr TEXT NOT NULL CHECK (name_fr <> ''),
    name_en TEXT NOT NULL CHECK (name_en <> ''),
    on_form BOOLEAN NOT NULL,
    position INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE queue_members (
    queue_id BIGINT NOT NULL REFERENCES queues (id) ON DELETE CASCADE,
    person_id BIGINT NOT NULL REFERENCES staff_members (person_id) ON DELETE CASCADE,
    PRIMARY KEY (queue_id, person_id)
);
CREATE INDEX queue_members_of ON queue_members (person_id);

CREATE TABLE mailboxes (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    canonical TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    queue_id BIGINT NOT NULL REFERENCES queues (id),
    language TEXT NOT NULL CHECK (language IN ('fr', 'en')),
    acknowledges BOOLEAN NOT NULL,
    is_default BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX mailboxes_default ON mailboxes (is_default) WHERE is_default;

-- Tickets ------------------------------------------------------------------------------

CREATE TABLE tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL REFERENCES organisations (id),
    reference TEXT NOT NULL UNIQUE,
    handle BIGINT NOT NULL UNIQUE,
    queue_id BIGINT NOT NULL REFERENCES queues (id),
    requester_id BIGINT NOT NULL REFERENCES people (id),
    assignee_id BIGINT REFERENCES people (id),
    site_id BIGINT,
    environment_id BIGINT,
    mailbox_id BIGINT REFERENCES mailboxes (id),
    subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting_for_us', 'waiting_for_customer', 'closed')),
    priority TEXT NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    channel TEXT NOT NULL CHECK (channel IN ('web', 'email', 'telephone', 'fax', 'letter', 'api')),
    language TEXT NOT NULL CHECK (language IN ('fr', 'en')),
    is_private BOOLEAN NOT NULL,
    address_confirmed BOOLEAN NOT NULL,
    waiting_since TIMESTAMP NOT NULL,
    message_count INTEGER NOT NULL,
    last_message_at TIMESTAMP NOT NULL,
    first_answered_at TIMESTAMP,
    closed_at TIMESTAMP,
    version BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    UNIQUE (organisation_id, id),
    FOREIGN KEY (organisation_id, site_id) REFERENCES sites (organisation_id, id),
    FOREIGN KEY (organisation_id, environment_id) REFERENCES environments (organisation_id, id)
);
CREATE INDEX tickets_by_status ON tickets (status, waiting_since, id, queue_id);
CREATE INDEX tickets_by_queue_status ON tickets (queue_id, status, waiting_since, id);
CREATE INDEX tickets_by_assignee ON tickets (assignee_id, status, waiting_since, id, queue_id) WHERE assignee_id IS NOT NULL;
CREATE INDEX tickets_unassigned ON tickets (queue_id, waiting_since, id, assignee_id, status) WHERE assignee_id IS NULL AND status <> 'closed';
CREATE INDEX tickets_unassigned_all ON tickets (waiting_since, id, assignee_id, status) WHERE assignee_id IS NULL AND status <> 'closed';
CREATE INDEX tickets_by_requester ON tickets (requester_id, last_message_at, id);
CREATE INDEX tickets_by_organisation ON tickets (organisation_id, last_message_at, id);
CREATE INDEX tickets_by_change ON tickets (updated_at, id);

CREATE TABLE ticket_participants (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    person_id BIGINT NOT NULL REFERENCES people (id),
    part TEXT NOT NULL CHECK (part IN ('requester', 'participant', 'staff')),
    state TEXT NOT NULL CHECK (state IN ('proposed', 'active', 'removed')),
    token_number BIGINT NOT NULL,
    token_epoch INTEGER NOT NULL,
    joined_at TIMESTAMP NOT NULL,
    UNIQUE (ticket_id, person_id),
    UNIQUE (ticket_id, token_number),
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_participants_of ON ticket_participants (person_id, ticket_id);

CREATE TABLE ticket_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('customer', 'agent', 'note')),
    visibility TEXT NOT NULL CHECK (visibility IN ('everyone', 'staff')),
    channel TEXT NOT NULL CHECK (channel IN ('web', 'email', 'telephone', 'fax', 'letter', 'api')),
    author_id BIGINT REFERENCES people (id),
    from_name TEXT NOT NULL,
    from_address TEXT NOT NULL,
    body_text TEXT NOT NULL,
    quoted_text TEXT NOT NULL,
    body_html TEXT,
    remark TEXT CHECK (remark IN ('different_sender', 'not_authenticated', 'automatic', 'accepted', 'rejected')),
    mail_id TEXT,
    ingest_id BIGINT UNIQUE,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (organisation_id, id),
    CHECK (kind <> 'note' OR visibility = 'staff'),
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_messages_of ON ticket_messages (ticket_id, id);

CREATE TABLE ticket_attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    file_name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    content_hash TEXT NOT NULL,
    content_id TEXT,
    created_at TIMESTAMP NOT NULL,
    FOREIGN KEY (organisation_id, message_id) REFERENCES ticket_messages (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_attachments_of ON ticket_attachments (ticket_id, message_id);

CREATE TABLE ticket_tags (
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    tag TEXT NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (ticket_id, tag),
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_tags_by_tag ON ticket_tags (tag, ticket_id);

CREATE TABLE ticket_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL CHECK (actor IN ('customer', 'staff', 'mail', 'api', 'system')),
    actor_id BIGINT REFERENCES people (id),
    message_id BIGINT,
    details TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_events_of ON ticket_events (ticket_id, id);

CREATE TABLE connection_contexts (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    ip_address TEXT NOT NULL,
    preferred_language TEXT NOT NULL,
    browser TEXT NOT NULL,
    browser_version TEXT NOT NULL,
    operating_system TEXT NOT NULL,
    requested_url TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX connection_contexts_of ON connection_contexts (ticket_id);

CREATE TABLE ticket_contacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL UNIQUE,
    received_at TIMESTAMP NOT NULL,
    telephone TEXT,
    duration_minutes INTEGER,
    reached TEXT NOT NULL,
    FOREIGN KEY (organisation_id, message_id) REFERENCES ticket_messages (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_contacts_of ON ticket_contacts (ticket_id);

CREATE TABLE ticket_mail_ids (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    message_id BIGINT,
    mailbox_id BIGINT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    mail_id TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_mail_ids_by_mail_id ON ticket_mail_ids (mail_id, mailbox_id);
CREATE INDEX ticket_mail_ids_of ON ticket_mail_ids (ticket_id, id);

CREATE TABLE ticket_links (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    person_id BIGINT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ticket_links_expiring ON ticket_links (expires_at);

CREATE TABLE idempotency_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    person_id BIGINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    response_status INTEGER NOT NULL,
    response_body TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (person_id, idempotency_key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- Mail in, mail out ----------------------------------------------------------------------

CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    mailbox_id BIGINT NOT NULL REFERENCES mailboxes (id),
    recipient TEXT NOT NULL,
    envelope_from TEXT NOT NULL,
    way TEXT NOT NULL CHECK (way IN ('lmtp', 'pipe', 'http')),
    raw BLOB,
    raw_sha256 BLOB NOT NULL,
    size BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'parsed', 'applied', 'held', 'failed', 'rejected')),
    attempts INTEGER NOT NULL,
    strikes INTEGER NOT NULL,
    next_at TIMESTAMP NOT NULL,
    leased_until TIMESTAMP,
    leased_by TEXT,
    content_sha256 BLOB,
    mail_id TEXT,
    original_hash TEXT,
    organisation_id BIGINT,
    ticket_id BIGINT,
    record TEXT NOT NULL,
    last_error TEXT,
    received_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP,
    UNIQUE (mailbox_id, raw_sha256)
);
CREATE INDEX journal_due ON journal (id) WHERE state IN ('accepted', 'parsed');
CREATE INDEX journal_held ON journal (id) WHERE state IN ('held', 'failed');
CREATE INDEX journal_by_content ON journal (content_sha256, mailbox_id);
CREATE INDEX journal_by_mail_id ON journal (mail_id, mailbox_id);
CREATE INDEX journal_of_ticket ON journal (ticket_id);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('reply', 'acknowledgement', 'notification', 'sign_in', 'password', 'invitation', 'confirmation')),
    organisation_id BIGINT,
    ticket_id BIGINT,
    message_id BIGINT,
    person_id BIGINT,
    recipient TEXT NOT NULL,
    envelope_from TEXT NOT NULL,
    mail_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    mime BLOB,
    state TEXT NOT NULL CHECK (state IN ('queued', 'leased', 'sent', 'deferred', 'dead', 'suppressed')),
    attempts INTEGER NOT NULL,
    strikes INTEGER NOT NULL,
    next_at TIMESTAMP NOT NULL,
    leased_until TIMESTAMP,
    leased_by TEXT,
    expires_at TIMESTAMP NOT NULL,
    last_error TEXT,
    created_at TIMESTAMP NOT NULL,
    sent_at TIMESTAMP,
    UNIQUE (mail_id, recipient)
);
CREATE INDEX outbox_due ON outbox (next_at, id) WHERE state IN ('queued', 'deferred', 'leased');
CREATE INDEX outbox_by_turn ON outbox (organisation_id, next_at, id) WHERE state IN ('queued', 'deferred', 'leased');
CREATE INDEX outbox_of_ticket ON outbox (ticket_id);
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';

-- Work, evidence -----------------------------------------------------------------------------

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'failed')),
    attempts INTEGER NOT NULL,
    run_at TIMESTAMP NOT NULL,
    leased_until TIMESTAMP,
    leased_by TEXT,
    last_error TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE state = 'queued';
CREATE INDEX jobs_failed ON jobs (id) WHERE state = 'failed';

CREATE TABLE recurring_runs (
    name TEXT PRIMARY KEY NOT NULL,
    last_run_at TIMESTAMP NOT NULL
);

CREATE TABLE audit_ledger (
    sequence BIGINT PRIMARY KEY NOT NULL,
    at TIMESTAMP NOT NULL,
    kind TEXT NOT NULL,
    actor_id BIGINT,
    subject_id BIGINT,
    organisation_id BIGINT,
    detail_sha256 BLOB NOT NULL,
    previous_hash BLOB NOT NULL,
    hash BLOB NOT NULL UNIQUE
);

CREATE TABLE audit_details (
    sequence BIGINT PRIMARY KEY NOT NULL,
    detail TEXT NOT NULL
);

-- Search: one row a message (more for a very long one), tokens folded and stemmed by Accord -------

CREATE TABLE search_documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    message_id BIGINT NOT NULL,
    staff_only BOOLEAN NOT NULL,
    words TEXT NOT NULL,
    FOREIGN KEY (organisation_id, message_id) REFERENCES ticket_messages (organisation_id, id)
        ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX search_documents_of ON search_documents (message_id);
CREATE VIRTUAL TABLE search_index USING fts5 (
    words, content = 'search_documents', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 0'
);
CREATE TRIGGER search_documents_added AFTER INSERT ON search_documents BEGIN
    INSERT INTO search_index (rowid, words) VALUES (new.id, new.words);
END;
CREATE TRIGGER search_documents_removed AFTER DELETE ON search_documents BEGIN
    INSERT INTO search_index (search_index, rowid, words) VALUES ('delete', old.id, old.words);
END;
CREATE TRIGGER search_documents_changed AFTER UPDATE OF words ON search_documents BEGIN
    INSERT INTO search_index (search_index, rowid, words) VALUES ('delete', old.id, old.words);
    INSERT INTO search_index (rowid, words) VALUES (new.id, new.words);
END;
