-- What was destroyed of captures is to leave the files of the database too. That is owed from the destruction on, in one
-- row, until it is done: somebody may be in the way.

CREATE TABLE owed_scrubs (
    id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
    destructions BIGINT NOT NULL CHECK (destructions > 0),
    since TIMESTAMP NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0)
);
