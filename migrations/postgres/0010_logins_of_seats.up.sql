-- Which login a seat was joined with, so that its connection ends with the login.

ALTER TABLE seats ADD COLUMN login_id UUID;
-- The login has ended: the instance is told to close the connection as long as it reports it.
ALTER TABLE seats ADD COLUMN evicted BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX seats_of_login ON seats (login_id) WHERE login_id IS NOT NULL;
