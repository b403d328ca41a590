-- Every game that an instance of this deployment has ever hosted: known, also while nobody hosts it.

CREATE TABLE hosted_games (
    game             TEXT   PRIMARY KEY,
    registered_at_ms INTEGER NOT NULL
) STRICT;
