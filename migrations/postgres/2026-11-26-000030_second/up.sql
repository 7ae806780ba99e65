-- Two agree where two were asked: what the first of them approved stays as it is until it is decided, and becomes a grant
-- by the agreement of another person alone, to those terms, in the name of that first one.

CREATE TRIGGER consent_requests_first BEFORE UPDATE ON consent_requests FOR EACH ROW
    WHEN (new.pending_choice IS DISTINCT FROM old.pending_choice
        AND NOT (old.state = 'requested' AND new.state = 'awaiting_second'))
    EXECUTE FUNCTION consent_refuse('what the first of two approved does not change');
CREATE FUNCTION consent_requests_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM people AS first WHERE first.id = (new.pending_choice::jsonb ->> 'by')::bigint) THEN
        RAISE EXCEPTION 'somebody approves first';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER consent_requests_approved BEFORE UPDATE ON consent_requests FOR EACH ROW
    WHEN (new.state = 'awaiting_second' AND old.state <> 'awaiting_second')
    EXECUTE FUNCTION consent_requests_approved();
CREATE FUNCTION consent_grants_second() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Or it could become a question of two while this is decided as one of one.
    PERFORM 1 FROM consent_requests WHERE id = new.request_id FOR UPDATE;
    IF NOT EXISTS (
        SELECT 1 FROM consent_requests AS asked WHERE asked.id = new.request_id
            AND (asked.state = 'awaiting_second') = (new.seconded_by IS NOT NULL)
    ) THEN
        RAISE EXCEPTION 'a second agrees to what a first approved';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER consent_grants_second BEFORE INSERT ON consent_grants FOR EACH ROW EXECUTE FUNCTION consent_grants_second();
CREATE FUNCTION consent_grants_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM consent_requests AS asked WHERE asked.id = new.request_id
            AND new.subject_kind = 'organisation'
            AND (asked.pending_choice::jsonb ->> 'by')::bigint = new.granted_by
            AND asked.pending_choice::jsonb -> 'choice' -> 'scope' = new.scope::jsonb
            AND (asked.pending_choice::jsonb -> 'choice' ->> 'duration_minutes')::integer = new.duration_minutes
            AND (asked.pending_choice::jsonb -> 'choice' ->> 'retention_days')::integer = new.retention_days
            AND (asked.pending_choice::jsonb -> 'choice' ->> 'exports_allowed')::boolean = new.exports_allowed
    ) THEN
        RAISE EXCEPTION 'a second agrees to what the first approved, and to nothing else';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER consent_grants_first BEFORE INSERT ON consent_grants FOR EACH ROW
    WHEN (new.seconded_by IS NOT NULL) EXECUTE FUNCTION consent_grants_first();
