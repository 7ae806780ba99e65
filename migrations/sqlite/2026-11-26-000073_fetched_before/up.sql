-- By which a mail that an account gives again, under another number, is known: whichever mailbox it would be for by now.

CREATE INDEX journal_fetched ON journal (imap_account, raw_sha256) WHERE imap_account IS NOT NULL;
