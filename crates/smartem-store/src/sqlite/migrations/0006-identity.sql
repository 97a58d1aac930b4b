-- Which store this is: 64 random bits in hexadecimal digits, made once. A copy and a restored backup
-- have it too, so that the backups of two stores are told apart.
CREATE TABLE identity (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL
) STRICT;
INSERT INTO identity (only, id) VALUES (1, lower(hex(randomblob(8))));
