DROP TABLE hosted_games;
