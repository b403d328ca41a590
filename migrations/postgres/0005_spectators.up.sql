-- What a session grants people who watch. The defaults are what sessions granted before.

ALTER TABLE sessions ADD COLUMN spectators_allowed BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE sessions ADD COLUMN spectators_view TEXT NOT NULL DEFAULT 'all'
    CHECK (spectators_view IN ('all', 'team'));
ALTER TABLE sessions ADD COLUMN spectators_delay_s BIGINT NOT NULL DEFAULT 0
    CHECK (spectators_delay_s BETWEEN 0 AND 65535);
