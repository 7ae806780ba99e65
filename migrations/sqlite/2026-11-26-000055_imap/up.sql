-- Mail that is fetched by IMAP: which account is looked after by whom and how it stands, up to which mail of a folder all
-- are taken, and the mails with which something is still to be done. Journal rows say from which account they come.

CREATE TABLE imap_accounts (
    name TEXT PRIMARY KEY NOT NULL,
    leased_by TEXT,
    leased_until TIMESTAMP,
    connected_since TIMESTAMP,
    heard_at TIMESTAMP,
    last_mail_at TIMESTAMP,
    taken BIGINT NOT NULL,
    trouble TEXT,
    trouble_words TEXT NOT NULL,
    trouble_since TIMESTAMP
);

CREATE TABLE imap_folders (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    account TEXT NOT NULL,
    folder TEXT NOT NULL,
    -- Whose mailbox it is on which server, as a hash.
    place TEXT NOT NULL,
    uid_validity BIGINT NOT NULL,
    next_uid BIGINT NOT NULL,
    older_below BIGINT NOT NULL,
    began_at TIMESTAMP NOT NULL,
    UNIQUE (account, folder)
);

CREATE TABLE imap_mails (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    folder_id BIGINT NOT NULL REFERENCES imap_folders (id),
    uid BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('aside', 'taken')),
    attempts INTEGER NOT NULL,
    next_at TIMESTAMP NOT NULL,
    words TEXT NOT NULL,
    UNIQUE (folder_id, uid)
);

ALTER TABLE journal ADD COLUMN imap_account TEXT;
ALTER TABLE journal ADD COLUMN is_from_before BOOLEAN;

-- One more way in. SQLite has no statement for a CHECK; this is what its documentation of ALTER TABLE has in its place for
-- changes that touch no row.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''pipe'', ''http'')', '''pipe'', ''http'', ''imap'')')
    WHERE type = 'table' AND name = 'journal';
PRAGMA writable_schema = RESET;
