DROP TABLE opening_turns;
DROP INDEX sessions_open_from;
DROP INDEX sessions_open_of_host;
ALTER TABLE sessions DROP COLUMN opened_from;
