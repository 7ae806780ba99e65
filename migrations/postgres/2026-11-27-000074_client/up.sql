-- From which machine the mail server has a mail, and how that greeted, where it tells: what SPF is about.

ALTER TABLE journal ADD COLUMN client_address TEXT;
ALTER TABLE journal ADD COLUMN client_name TEXT;
