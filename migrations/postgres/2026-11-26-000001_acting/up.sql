-- For which of several organisations somebody acts in a session; nothing until they say so.

ALTER TABLE sessions ADD COLUMN acting_for BIGINT REFERENCES organisations (id) ON DELETE SET NULL;
