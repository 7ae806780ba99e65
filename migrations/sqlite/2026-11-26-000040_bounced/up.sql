-- Addresses at which nobody is, as other mail servers reported: when the last mail there failed, and since when, after two of
-- them within a month, nothing is mailed there.

ALTER TABLE person_addresses ADD COLUMN bounced_at TIMESTAMP;
ALTER TABLE person_addresses ADD COLUMN suppressed_at TIMESTAMP;
