-- Answers to POSTs that carried an Idempotency-Key.

CREATE TABLE remembered_answers (
    player_id     BLOB    NOT NULL,
    key           TEXT    NOT NULL,
    request_hash  BLOB    NOT NULL CHECK (length(request_hash) = 32),
    status        INTEGER NOT NULL,
    body          BLOB    NOT NULL,
    location      TEXT,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (player_id, key)
) STRICT;
CREATE INDEX remembered_answers_by_end ON remembered_answers (expires_at_ms);
