ALTER TABLE remembered_answers DROP COLUMN opening_session_id;
DROP TABLE match_starts;
