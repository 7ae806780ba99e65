-- Files of answers that were thrown away: their bytes are removed once nothing else has them.

CREATE TABLE thrown_away_files (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    content_hash TEXT NOT NULL,
    thrown_away_at TIMESTAMP NOT NULL
);
