-- The host has had a seat in the match, or has left: without a seat somebody else becomes the host.

ALTER TABLE sessions ADD COLUMN host_seated INTEGER NOT NULL DEFAULT 0 CHECK (host_seated IN (0, 1));
