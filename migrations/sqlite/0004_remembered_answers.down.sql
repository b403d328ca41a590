DROP TABLE remembered_answers;
