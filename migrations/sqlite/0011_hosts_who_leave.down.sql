ALTER TABLE sessions DROP COLUMN host_seated;
