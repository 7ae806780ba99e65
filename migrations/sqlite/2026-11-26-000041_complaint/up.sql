-- When somebody's mail provider last told that they reported a mail of ours as junk.

ALTER TABLE people ADD COLUMN complained_at TIMESTAMP;
