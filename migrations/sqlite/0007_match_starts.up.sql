-- The outbox of matches that an instance has still to be asked to start, one row for each session
-- that is `created`; and which session's opening a remembered answer waits for.

CREATE TABLE match_starts (
    session_id BLOB    PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    -- 64 bits, bit for bit (it may show as negative).
    seed       INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- Until then the request that opened the session starts its match itself.
    due_at_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX match_starts_by_time ON match_starts (due_at_ms);

-- NULL once the answer is what the client was sent.
ALTER TABLE remembered_answers ADD COLUMN opening_session_id BLOB;
