-- Whether anything still has a file is asked before its bytes are removed.

CREATE INDEX ticket_attachments_by_content ON ticket_attachments (content_hash);
CREATE INDEX journal_by_original ON journal (original_hash) WHERE original_hash IS NOT NULL;
