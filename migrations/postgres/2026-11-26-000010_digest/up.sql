-- News to agents that came too late to be sent as mails of their own stand in one that tells of them all (O-05).

ALTER TABLE outbox ADD COLUMN folded_into BIGINT REFERENCES outbox (id) ON DELETE SET NULL;
CREATE INDEX outbox_folded ON outbox (folded_into) WHERE folded_into IS NOT NULL;
CREATE INDEX outbox_unfolded ON outbox (person_id) WHERE kind = 'notification' AND state = 'suppressed' AND folded_into IS NULL;
