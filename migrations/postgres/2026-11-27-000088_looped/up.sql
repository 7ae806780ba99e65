-- Addresses of staff whose mail comes back to a mailbox of ours: since when nothing is mailed there.

ALTER TABLE person_addresses ADD COLUMN looped_at TIMESTAMP;
