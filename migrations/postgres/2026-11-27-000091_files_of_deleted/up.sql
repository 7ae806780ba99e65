-- The files of answers that were not said yet go with their ticket: what nothing else names is removed from the disk
-- (`tickets::thrown_away`). Nobody can send them any more, so the time of their last change does.

CREATE FUNCTION tickets_throw_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO thrown_away_files (content_hash, thrown_away_at)
        SELECT file ->> 'content_hash', planned_answers.changed_at
        FROM planned_answers, json_array_elements(planned_answers.files::json) AS file
        WHERE planned_answers.ticket_id = OLD.id;
    RETURN OLD;
END $$;
CREATE TRIGGER tickets_throw_away BEFORE DELETE ON tickets FOR EACH ROW EXECUTE FUNCTION tickets_throw_away();
