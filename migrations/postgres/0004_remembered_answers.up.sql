-- Answers to POSTs that carried an Idempotency-Key.

CREATE TABLE remembered_answers (
    player_id     UUID   NOT NULL,
    key           TEXT   NOT NULL,
    request_hash  BYTEA  NOT NULL CHECK (octet_length(request_hash) = 32),
    status        BIGINT NOT NULL,
    body          BYTEA  NOT NULL,
    location      TEXT,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (player_id, key)
);
CREATE INDEX remembered_answers_by_end ON remembered_answers (expires_at_ms);
