-- From which machines mail came, until that is forgotten.

CREATE INDEX journal_clients ON journal (received_at) WHERE client_address IS NOT NULL;
