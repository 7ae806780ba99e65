-- Two agree where two were asked: what the first of them approved stays as it is until it is decided, and becomes a grant
-- by the agreement of another person alone, to those terms, in the name of that first one.

CREATE TRIGGER consent_requests_first BEFORE UPDATE ON consent_requests
    WHEN new.pending_choice IS NOT old.pending_choice
        AND NOT (old.state = 'requested' AND new.state = 'awaiting_second')
BEGIN
    SELECT RAISE(ABORT, 'what the first of two approved does not change');
END;
CREATE TRIGGER consent_requests_approved BEFORE UPDATE ON consent_requests
    WHEN new.state = 'awaiting_second' AND old.state <> 'awaiting_second'
        AND NOT EXISTS (SELECT 1 FROM people AS first WHERE first.id = json_extract(new.pending_choice, '$.by'))
BEGIN
    SELECT RAISE(ABORT, 'somebody approves first');
END;
CREATE TRIGGER consent_grants_second BEFORE INSERT ON consent_grants
    WHEN NOT EXISTS (
        SELECT 1 FROM consent_requests AS asked WHERE asked.id = new.request_id
            AND (asked.state = 'awaiting_second') = (new.seconded_by IS NOT NULL)
    )
BEGIN
    SELECT RAISE(ABORT, 'a second agrees to what a first approved');
END;
CREATE TRIGGER consent_grants_first BEFORE INSERT ON consent_grants
    WHEN new.seconded_by IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM consent_requests AS asked WHERE asked.id = new.request_id
            AND new.subject_kind = 'organisation'
            AND json_extract(asked.pending_choice, '$.by') = new.granted_by
            AND json_extract(asked.pending_choice, '$.choice.scope') = json(new.scope)
            AND json_extract(asked.pending_choice, '$.choice.duration_minutes') = new.duration_minutes
            AND json_extract(asked.pending_choice, '$.choice.retention_days') = new.retention_days
            AND json_extract(asked.pending_choice, '$.choice.exports_allowed') = new.exports_allowed
    )
BEGIN
    SELECT RAISE(ABORT, 'a second agrees to what the first approved, and to nothing else');
END;
