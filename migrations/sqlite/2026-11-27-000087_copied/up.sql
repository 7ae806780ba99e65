-- The domain at which people in copy of a proven mail take part in an organisation's tickets by themselves; empty for none.

ALTER TABLE organisations ADD COLUMN copied_domain TEXT NOT NULL DEFAULT '';
