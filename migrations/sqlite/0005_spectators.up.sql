-- What a session grants people who watch. The defaults are what sessions granted before.

ALTER TABLE sessions ADD COLUMN spectators_allowed INTEGER NOT NULL DEFAULT 1
    CHECK (spectators_allowed IN (0, 1));
ALTER TABLE sessions ADD COLUMN spectators_view TEXT NOT NULL DEFAULT 'all'
    CHECK (spectators_view IN ('all', 'team'));
ALTER TABLE sessions ADD COLUMN spectators_delay_s INTEGER NOT NULL DEFAULT 0
    CHECK (spectators_delay_s BETWEEN 0 AND 65535);
