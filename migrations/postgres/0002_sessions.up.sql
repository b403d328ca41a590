-- Sessions (lobby records), their search tags and their seats.
--
-- Players are named by id without a foreign key here: what an instance reports must not fail
-- because of one player whom the service does not know (any more).

CREATE TABLE sessions (
    id             UUID   PRIMARY KEY,
    game           TEXT   NOT NULL,
    mode           TEXT   NOT NULL,
    name           TEXT   NOT NULL,
    region         TEXT   NOT NULL,
    state          TEXT   NOT NULL DEFAULT 'created' CHECK (state IN (
        'created', 'filling', 'starting', 'running', 'draining', 'ending', 'ended', 'failed')),
    visibility     TEXT   NOT NULL CHECK (visibility IN ('public', 'private')),
    join_code      TEXT,
    -- JSON array in the order given. A session's tags never change; session_tags is their index.
    tags           TEXT   NOT NULL,
    players_max    BIGINT NOT NULL CHECK (players_max BETWEEN 0 AND 65535),
    spectators     BIGINT NOT NULL DEFAULT 0,
    host_player_id UUID   NOT NULL,
    match_id       UUID   NOT NULL UNIQUE,
    instance_id    UUID   NOT NULL,
    -- The instance's 64-bit run number, bit for bit (it may show as negative).
    instance_epoch BIGINT NOT NULL,
    result_key     BYTEA  NOT NULL CHECK (octet_length(result_key) = 32),
    version        BIGINT NOT NULL DEFAULT 1,
    created_at_ms  BIGINT NOT NULL,
    updated_at_ms  BIGINT NOT NULL
);
-- The lobby list: live public sessions, newest first.
CREATE INDEX sessions_listed ON sessions (created_at_ms DESC, id DESC)
    WHERE visibility = 'public' AND state NOT IN ('ended', 'failed');
-- The list of one state, and the final states.
CREATE INDEX sessions_by_state ON sessions (state, created_at_ms DESC, id DESC);
-- What an instance hosts.
CREATE INDEX sessions_of_instance ON sessions (instance_id, instance_epoch)
    WHERE state NOT IN ('ended', 'failed');

CREATE TABLE session_tags (
    session_id UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    tag        TEXT NOT NULL,
    PRIMARY KEY (session_id, tag)
);

CREATE TABLE seats (
    session_id    UUID   NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    seat          BIGINT NOT NULL CHECK (seat BETWEEN 0 AND 65535),
    player_id     UUID   NOT NULL,
    -- A reservation is good while this lies in the future; NULL once the seat is taken.
    held_until_ms BIGINT,
    PRIMARY KEY (session_id, seat),
    UNIQUE (session_id, player_id)
);
-- Counts the seats in use of a session without reading the rows.
CREATE INDEX seats_in_use ON seats (session_id, held_until_ms);
-- Finds the holds to sweep.
CREATE INDEX seats_by_end_of_hold ON seats (held_until_ms) WHERE held_until_ms IS NOT NULL;
