-- Whether mail from somewhere usually comes with its domain standing by it (TH-10): when the last three did, for a domain and
-- for an address; and when an agent last took mail from the address for genuine that came without.

CREATE TABLE sending_domains (
    domain TEXT NOT NULL PRIMARY KEY,
    last_pass_at TIMESTAMP NOT NULL,
    second_last_pass_at TIMESTAMP,
    third_last_pass_at TIMESTAMP
);
CREATE INDEX sending_domains_last_pass ON sending_domains (last_pass_at);

ALTER TABLE person_addresses ADD COLUMN last_pass_at TIMESTAMP;
ALTER TABLE person_addresses ADD COLUMN second_last_pass_at TIMESTAMP;
ALTER TABLE person_addresses ADD COLUMN third_last_pass_at TIMESTAMP;
ALTER TABLE person_addresses ADD COLUMN accepted_without_pass_at TIMESTAMP;
