DROP TABLE player_stat_totals;
DROP TABLE player_totals;
DROP TABLE match_players;
DROP TABLE match_results;
