-- For whom a planned answer was written: its author has not seen whoever reads the ticket since, and it is held then. Of
-- one that waits from before nobody knows, and it is held too.

DROP INDEX planned_answers_of;
ALTER TABLE planned_answers RENAME TO planned_answers_before;
CREATE TABLE planned_answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    -- The public name of the message to come.
    handle TEXT NOT NULL UNIQUE,
    author_id BIGINT NOT NULL REFERENCES people (id),
    -- For whom it was written: who asked, and who else could read it, as JSON.
    requester_id BIGINT NOT NULL REFERENCES people (id),
    audience TEXT NOT NULL DEFAULT '{}',
    body_text TEXT NOT NULL,
    files TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting_for_us', 'waiting_for_customer', 'closed')),
    seen INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'taken_back')),
    held_because TEXT CHECK (held_because IN ('customer_wrote', 'colleague_wrote', 'closed', 'other_requester', 'other_readers', 'not_allowed', 'author_left', 'restored')),
    planned_for TIMESTAMP,
    release_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    CHECK ((state = 'held') = (held_because IS NOT NULL)),
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
INSERT INTO sqlite_sequence (name, seq) SELECT 'planned_answers', seq FROM sqlite_sequence WHERE name = 'planned_answers_before';
INSERT INTO planned_answers (id, organisation_id, ticket_id, handle, author_id, requester_id, body_text, files, status, seen, state, held_because, planned_for, release_at, created_at, changed_at)
    SELECT id, organisation_id, ticket_id, handle, author_id, requester_id, body_text, files, status, seen, state, held_because, planned_for, release_at, created_at, changed_at
    FROM planned_answers_before;
DROP TABLE planned_answers_before;
CREATE INDEX planned_answers_of ON planned_answers (ticket_id, id);
-- What one agent has not said yet, the latest first.
CREATE INDEX planned_answers_by ON planned_answers (author_id, changed_at, id);
