-- Mail that an administrator brought from elsewhere: what a mailbox had received, or what was sent from it.

ALTER TABLE journal ADD COLUMN imported TEXT CHECK (imported IN ('received', 'sent'));
