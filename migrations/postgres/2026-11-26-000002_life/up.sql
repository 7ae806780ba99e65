-- The life of a consent, more closely: a question is granted by its grant and by nothing else, nothing opens more than was
-- asked, and what was captured is destroyed only after its grant has ended.

-- How close a look is: 0 for what is none.
CREATE FUNCTION consent_closeness(level TEXT) RETURNS INTEGER LANGUAGE sql IMMUTABLE AS $$
    SELECT strpos('error warn info debug trace', level)
$$;
CREATE FUNCTION consent_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF consent_closeness(new.level) IS DISTINCT FROM (
        SELECT max(consent_closeness(part ->> 'level')) FROM jsonb_array_elements(new.scope::jsonb -> 'components') AS part
    ) THEN
        RAISE EXCEPTION 'a scope is as close as the closest look at any component';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER consent_requests_level BEFORE INSERT ON consent_requests FOR EACH ROW EXECUTE FUNCTION consent_level();
CREATE FUNCTION consent_requests_granted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM consent_grants AS made WHERE made.request_id = old.id) THEN
        RAISE EXCEPTION 'a question is granted by its grant';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER consent_requests_granted BEFORE UPDATE ON consent_requests FOR EACH ROW
    WHEN (new.state = 'granted' AND old.state <> 'granted')
    EXECUTE FUNCTION consent_requests_granted();
CREATE TRIGGER consent_requests_decided BEFORE UPDATE ON consent_requests FOR EACH ROW
    WHEN (old.decided_at IS NOT NULL AND (new.decided_at IS DISTINCT FROM old.decided_at
        OR new.decided_by IS DISTINCT FROM old.decided_by OR new.pending_choice IS DISTINCT FROM old.pending_choice))
    EXECUTE FUNCTION consent_refuse('what was decided stays decided');

CREATE OR REPLACE FUNCTION consent_grants_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM consent_requests AS asked WHERE asked.id = new.request_id
            AND asked.state IN ('requested', 'awaiting_second') AND new.granted_at < asked.expires_at
            AND asked.ticket_id = new.ticket_id
            AND asked.duration_minutes >= new.duration_minutes AND asked.retention_days >= new.retention_days
            AND (asked.exports_allowed OR NOT new.exports_allowed)
            AND (asked.subject_kind = 'organisation' OR asked.subject_id = new.subject_id)
            AND asked.stop_condition = new.stop_condition AND asked.idle_minutes IS NOT DISTINCT FROM new.idle_minutes
    ) THEN
        RAISE EXCEPTION 'more than was asked';
    END IF;
    RETURN new;
END $$;
CREATE FUNCTION consent_grants_scope() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM jsonb_array_elements(new.scope::jsonb -> 'components') AS part WHERE NOT EXISTS (
            SELECT 1 FROM consent_requests AS asked, jsonb_array_elements(asked.scope::jsonb -> 'components') AS own
            WHERE asked.id = new.request_id
                AND own ->> 'component' = part ->> 'component'
                AND consent_closeness(part ->> 'level') BETWEEN 1 AND consent_closeness(own ->> 'level')
        )
    ) OR EXISTS (
        SELECT 1 FROM jsonb_array_elements_text(new.scope::jsonb -> 'attributes') AS name WHERE NOT EXISTS (
            SELECT 1 FROM consent_requests AS asked, jsonb_array_elements_text(asked.scope::jsonb -> 'attributes') AS own
            WHERE asked.id = new.request_id AND own = name
        )
    ) THEN
        RAISE EXCEPTION 'another scope than was asked';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER consent_grants_scope BEFORE INSERT ON consent_grants FOR EACH ROW EXECUTE FUNCTION consent_grants_scope();
CREATE TRIGGER consent_grants_level BEFORE INSERT ON consent_grants FOR EACH ROW EXECUTE FUNCTION consent_level();
CREATE FUNCTION consent_grants_grants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE consent_requests SET state = 'granted', decided_by = coalesce(new.seconded_by, new.granted_by),
        decided_at = new.granted_at WHERE id = new.request_id;
    RETURN new;
END $$;
CREATE TRIGGER consent_grants_grants AFTER INSERT ON consent_grants FOR EACH ROW EXECUTE FUNCTION consent_grants_grants();
CREATE TRIGGER consent_grants_destroyed BEFORE UPDATE ON consent_grants FOR EACH ROW
    WHEN (new.destroyed_at IS NOT NULL AND (old.state <> 'ended' OR new.destroyed_at < old.kept_until))
    EXECUTE FUNCTION consent_refuse('what was captured is destroyed after its grant ended');
