-- Mail whose original was found among the stored files after a backup was restored: how it came is not known any more.

ALTER TABLE journal ADD COLUMN is_adopted BOOLEAN;
