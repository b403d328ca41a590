ALTER TABLE sessions DROP COLUMN spectators_delay_s;
ALTER TABLE sessions DROP COLUMN spectators_view;
ALTER TABLE sessions DROP COLUMN spectators_allowed;
