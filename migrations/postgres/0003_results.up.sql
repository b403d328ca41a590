-- Results: one row per match, one per player in it, and running totals per player and game.
--
-- A result outlives the accounts in it, so players are named by id without a foreign key.

CREATE TABLE match_results (
    match_id      UUID   PRIMARY KEY,
    session_id    UUID   NOT NULL,
    game          TEXT   NOT NULL,
    mode          TEXT   NOT NULL,
    outcome       TEXT   NOT NULL CHECK (outcome IN ('finished', 'aborted')),
    ticks         BIGINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    ended_at_ms   BIGINT NOT NULL,
    stored_at_ms  BIGINT NOT NULL
);

CREATE TABLE match_players (
    match_id    UUID    NOT NULL REFERENCES match_results (match_id) ON DELETE CASCADE,
    player_id   UUID    NOT NULL,
    seat        BIGINT  NOT NULL,
    placement   BIGINT  NOT NULL,
    score       BIGINT  NOT NULL,
    -- JSON object, name to integer.
    stats       TEXT    NOT NULL,
    stayed      BOOLEAN NOT NULL,
    -- Copied from the match, so that one index gives a player's history in order.
    ended_at_ms BIGINT  NOT NULL,
    PRIMARY KEY (match_id, player_id)
);
CREATE INDEX match_players_history ON match_players (player_id, ended_at_ms DESC, match_id DESC);

-- Finished matches only. Sums stop at the ends of a 64-bit integer instead of failing.
CREATE TABLE player_totals (
    player_id UUID   NOT NULL,
    game      TEXT   NOT NULL,
    matches   BIGINT NOT NULL,
    wins      BIGINT NOT NULL,
    score     BIGINT NOT NULL,
    PRIMARY KEY (player_id, game)
);

CREATE TABLE player_stat_totals (
    player_id UUID   NOT NULL,
    game      TEXT   NOT NULL,
    stat      TEXT   NOT NULL,
    total     BIGINT NOT NULL,
    PRIMARY KEY (player_id, game, stat)
);
