-- A mail that came back may go before the test of which it is one.

ALTER TABLE round_trips RENAME TO round_trips_before;
CREATE TABLE round_trips (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    mailbox_id BIGINT NOT NULL REFERENCES mailboxes (id),
    mail_id TEXT NOT NULL,
    sent_at TIMESTAMP NOT NULL,
    journal_id BIGINT REFERENCES journal (id) ON DELETE SET NULL
);
INSERT INTO sqlite_sequence (name, seq) SELECT 'round_trips', seq FROM sqlite_sequence WHERE name = 'round_trips_before';
INSERT INTO round_trips (id, handle, mailbox_id, mail_id, sent_at, journal_id)
    SELECT id, handle, mailbox_id, mail_id, sent_at, journal_id FROM round_trips_before;
DROP TABLE round_trips_before;
CREATE INDEX round_trips_of_mailbox ON round_trips (mailbox_id);
