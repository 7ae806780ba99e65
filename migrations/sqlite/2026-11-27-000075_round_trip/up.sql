-- Mails from a mailbox to itself, by which an administrator sees that mail goes out and comes back.

CREATE TABLE round_trips (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    mailbox_id BIGINT NOT NULL REFERENCES mailboxes (id),
    mail_id TEXT NOT NULL,
    sent_at TIMESTAMP NOT NULL,
    journal_id BIGINT REFERENCES journal (id)
);
CREATE INDEX round_trips_of_mailbox ON round_trips (mailbox_id);
