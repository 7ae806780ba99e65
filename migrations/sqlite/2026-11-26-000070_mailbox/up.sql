-- How answers from a mailbox are signed, and what becomes of answers to tickets that are closed.

ALTER TABLE mailboxes ADD COLUMN names_agents BOOLEAN NOT NULL DEFAULT 1;
ALTER TABLE mailboxes ADD COLUMN signature TEXT NOT NULL DEFAULT '';
ALTER TABLE mailboxes ADD COLUMN closed_tickets TEXT NOT NULL DEFAULT 'reopen_within'
    CHECK (closed_tickets IN ('reopen', 'reopen_within', 'follow_up'));
ALTER TABLE mailboxes ADD COLUMN reopen_days INTEGER NOT NULL DEFAULT 30 CHECK (reopen_days BETWEEN 1 AND 3650);
