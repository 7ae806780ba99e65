-- The files of answers that were not said yet go with their ticket: what nothing else names is removed from the disk
-- (`tickets::thrown_away`). Nobody can send them any more, so the time of their last change does.

CREATE TRIGGER tickets_throw_away BEFORE DELETE ON tickets FOR EACH ROW
BEGIN
    INSERT INTO thrown_away_files (content_hash, thrown_away_at)
        SELECT json_extract(file.value, '$.content_hash'), planned_answers.changed_at
        FROM planned_answers, json_each(planned_answers.files) AS file
        WHERE planned_answers.ticket_id = OLD.id;
END;
