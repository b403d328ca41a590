DROP TABLE seats;
DROP TABLE session_tags;
DROP TABLE sessions;
