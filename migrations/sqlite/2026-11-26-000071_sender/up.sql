-- From which mailbox a mail leaves, and so by which relay; none is the installation's.

ALTER TABLE outbox ADD COLUMN mailbox_id BIGINT REFERENCES mailboxes (id);
