DROP TABLE refresh_tokens;
DROP TABLE logins;
DROP TABLE devices;
DROP TABLE players;
