DROP INDEX seats_of_login;
ALTER TABLE seats DROP COLUMN evicted;
ALTER TABLE seats DROP COLUMN login_id;
