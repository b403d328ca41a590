-- What keeps the service working while a part of it does not.

-- Leases of instances that the cache did not take.
CREATE TABLE instance_leases (
    instance_id    UUID   PRIMARY KEY,
    instance_epoch BIGINT NOT NULL,
    until_ms       BIGINT NOT NULL
);

-- One row, which readiness writes to learn whether the database takes writes.
CREATE TABLE write_checks (
    id            BIGINT PRIMARY KEY,
    checked_at_ms BIGINT NOT NULL
);
