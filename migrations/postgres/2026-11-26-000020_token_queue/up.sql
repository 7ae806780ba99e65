-- The one queue whose tickets an API secret opens; nothing for all that its person sees. Should the queue go, the secret
-- goes with it: it must not open more than it did.

ALTER TABLE api_tokens ADD COLUMN queue_id BIGINT REFERENCES queues (id) ON DELETE CASCADE;
