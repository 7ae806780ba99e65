-- Mail handed over with a secret of one queue reaches the tickets of that queue alone, wherever they stand when it is read.

ALTER TABLE journal ADD COLUMN only_queue_id BIGINT REFERENCES queues (id);
