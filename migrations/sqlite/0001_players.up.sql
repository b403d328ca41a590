-- Players, the devices that guests log in from, and their logins.
--
-- Times are milliseconds since 1970-01-01 UTC (columns end in _ms); ids are UUIDs made by the
-- service. Secrets and tokens are stored as SHA-256 only.

CREATE TABLE players (
    id            BLOB    NOT NULL PRIMARY KEY,
    display_name  TEXT    NOT NULL,
    version       INTEGER NOT NULL DEFAULT 1,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
    id            BLOB    NOT NULL PRIMARY KEY,
    player_id     BLOB    NOT NULL REFERENCES players (id) ON DELETE CASCADE,
    secret_hash   BLOB    NOT NULL CHECK (length(secret_hash) = 32),
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_of_player ON devices (player_id);

-- A login is a family of refresh tokens. Its row is what a rotation locks, so that a family can
-- be revoked while one of its tokens is being replaced.
CREATE TABLE logins (
    id            BLOB    NOT NULL PRIMARY KEY,
    player_id     BLOB    NOT NULL REFERENCES players (id) ON DELETE CASCADE,
    created_at_ms INTEGER NOT NULL,
    -- End of its newest token.
    expires_at_ms INTEGER NOT NULL,
    -- Logged out, or killed because a spent token came back.
    revoked       INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1))
) STRICT;
CREATE INDEX logins_of_player ON logins (player_id);
CREATE INDEX logins_by_end ON logins (expires_at_ms);

CREATE TABLE refresh_tokens (
    hash           BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    login_id       BLOB    NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    issued_at_ms   INTEGER NOT NULL,
    expires_at_ms  INTEGER NOT NULL,
    -- The next three are set together when the token is spent.
    spent_at_ms    INTEGER,
    successor_hash BLOB,
    successor_seed BLOB
) STRICT;
CREATE INDEX refresh_tokens_of_login ON refresh_tokens (login_id);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at_ms);
