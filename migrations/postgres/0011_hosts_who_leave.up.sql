-- The host has had a seat in the match, or has left: without a seat somebody else becomes the host.

ALTER TABLE sessions ADD COLUMN host_seated BOOLEAN NOT NULL DEFAULT FALSE;
