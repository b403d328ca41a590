-- What keeps the service working while a part of it does not.

-- Leases of instances that the cache did not take.
CREATE TABLE instance_leases (
    instance_id    BLOB    NOT NULL PRIMARY KEY,
    instance_epoch INTEGER NOT NULL,
    until_ms       INTEGER NOT NULL
) STRICT;

-- One row, which readiness writes to learn whether the database takes writes.
CREATE TABLE write_checks (
    id            INTEGER PRIMARY KEY,
    checked_at_ms INTEGER NOT NULL
) STRICT;
