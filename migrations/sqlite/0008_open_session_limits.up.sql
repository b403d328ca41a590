-- How many sessions a player and an address have open.

-- A keyed hash of the address (IPv6: of its /64) that the session was opened from.
ALTER TABLE sessions ADD COLUMN opened_from BLOB CHECK (length(opened_from) = 16);
CREATE INDEX sessions_open_of_host ON sessions (host_player_id)
    WHERE state NOT IN ('ended', 'failed');
CREATE INDEX sessions_open_from ON sessions (opened_from)
    WHERE state NOT IN ('ended', 'failed');

-- One row for each first byte of such a hash, at most 256: openings from one address are counted one
-- after the other.
CREATE TABLE opening_turns (
    bucket INTEGER PRIMARY KEY CHECK (bucket BETWEEN 0 AND 255)
) STRICT;
