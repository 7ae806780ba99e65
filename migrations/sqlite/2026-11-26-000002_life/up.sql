-- The life of a consent, more closely: a question is granted by its grant and by nothing else, nothing opens more than was
-- asked, and what was captured is destroyed only after its grant has ended.

CREATE TRIGGER consent_requests_level BEFORE INSERT ON consent_requests
    WHEN instr('error warn info debug trace', new.level) IS NOT (
        SELECT max(instr('error warn info debug trace', json_extract(part.value, '$.level')))
        FROM json_each(new.scope, '$.components') AS part
    )
BEGIN
    SELECT RAISE(ABORT, 'a scope is as close as the closest look at any component');
END;
CREATE TRIGGER consent_requests_granted BEFORE UPDATE ON consent_requests
    WHEN new.state = 'granted' AND old.state <> 'granted'
        AND NOT EXISTS (SELECT 1 FROM consent_grants AS made WHERE made.request_id = old.id)
BEGIN
    SELECT RAISE(ABORT, 'a question is granted by its grant');
END;
CREATE TRIGGER consent_requests_decided BEFORE UPDATE ON consent_requests
    WHEN old.decided_at IS NOT NULL AND (new.decided_at IS NOT old.decided_at OR new.decided_by IS NOT old.decided_by
        OR new.pending_choice IS NOT old.pending_choice)
BEGIN
    SELECT RAISE(ABORT, 'what was decided stays decided');
END;

DROP TRIGGER consent_grants_asked;
CREATE TRIGGER consent_grants_asked BEFORE INSERT ON consent_grants
    WHEN NOT EXISTS (
        SELECT 1 FROM consent_requests AS asked WHERE asked.id = new.request_id
            AND asked.state IN ('requested', 'awaiting_second') AND new.granted_at < asked.expires_at
            AND asked.ticket_id = new.ticket_id
            AND asked.duration_minutes >= new.duration_minutes AND asked.retention_days >= new.retention_days
            AND (asked.exports_allowed OR NOT new.exports_allowed)
            AND (asked.subject_kind = 'organisation' OR asked.subject_id = new.subject_id)
            AND asked.stop_condition = new.stop_condition AND asked.idle_minutes IS new.idle_minutes
    )
BEGIN
    SELECT RAISE(ABORT, 'more than was asked');
END;
CREATE TRIGGER consent_grants_scope BEFORE INSERT ON consent_grants
    WHEN EXISTS (
        SELECT 1 FROM json_each(new.scope, '$.components') AS part WHERE NOT EXISTS (
            SELECT 1 FROM consent_requests AS asked, json_each(asked.scope, '$.components') AS own
            WHERE asked.id = new.request_id
                AND json_extract(own.value, '$.component') = json_extract(part.value, '$.component')
                AND instr('error warn info debug trace', json_extract(part.value, '$.level'))
                    BETWEEN 1 AND instr('error warn info debug trace', json_extract(own.value, '$.level'))
        )
    ) OR EXISTS (
        SELECT 1 FROM json_each(new.scope, '$.attributes') AS name WHERE NOT EXISTS (
            SELECT 1 FROM consent_requests AS asked, json_each(asked.scope, '$.attributes') AS own
            WHERE asked.id = new.request_id AND own.value = name.value
        )
    )
BEGIN
    SELECT RAISE(ABORT, 'another scope than was asked');
END;
CREATE TRIGGER consent_grants_level BEFORE INSERT ON consent_grants
    WHEN instr('error warn info debug trace', new.level) IS NOT (
        SELECT max(instr('error warn info debug trace', json_extract(part.value, '$.level')))
        FROM json_each(new.scope, '$.components') AS part
    )
BEGIN
    SELECT RAISE(ABORT, 'a scope is as close as the closest look at any component');
END;
CREATE TRIGGER consent_grants_grants AFTER INSERT ON consent_grants
BEGIN
    UPDATE consent_requests SET state = 'granted', decided_by = coalesce(new.seconded_by, new.granted_by),
        decided_at = new.granted_at WHERE id = new.request_id;
END;
CREATE TRIGGER consent_grants_destroyed BEFORE UPDATE ON consent_grants
    WHEN new.destroyed_at IS NOT NULL AND (old.state <> 'ended' OR new.destroyed_at < old.kept_until)
BEGIN
    SELECT RAISE(ABORT, 'what was captured is destroyed after its grant ended');
END;
