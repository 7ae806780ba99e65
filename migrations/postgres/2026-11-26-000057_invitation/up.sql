-- What a mail says of a meeting, as JSON; the calendar file itself is an attachment.

ALTER TABLE ticket_messages ADD COLUMN invitation TEXT;
