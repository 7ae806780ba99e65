-- Answers that are not said yet: for the seconds in which they can be taken back, or until the time that was chosen. They are
-- no messages before they go out, so that nothing that shows messages can show them.

CREATE TABLE planned_answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    organisation_id BIGINT NOT NULL,
    ticket_id BIGINT NOT NULL,
    -- The public name of the message to come.
    handle TEXT NOT NULL UNIQUE,
    author_id BIGINT NOT NULL REFERENCES people (id),
    -- For whom it was written.
    requester_id BIGINT NOT NULL REFERENCES people (id),
    body_text TEXT NOT NULL,
    files TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting_for_us', 'waiting_for_customer', 'closed')),
    seen INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'held', 'taken_back')),
    held_because TEXT CHECK (held_because IN ('customer_wrote', 'colleague_wrote', 'closed', 'other_requester', 'not_allowed', 'author_left', 'restored')),
    planned_for TIMESTAMP,
    release_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    CHECK ((state = 'held') = (held_because IS NOT NULL)),
    FOREIGN KEY (organisation_id, ticket_id) REFERENCES tickets (organisation_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX planned_answers_of ON planned_answers (ticket_id, id);
