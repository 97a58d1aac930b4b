-- Who may write. A secret is never stored: `hash` is the SHA-256 of a generated one (256 random
-- bits), or the Argon2id string, with its salt, of one that a person chose.
CREATE TABLE token (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    -- Words, separated by blanks.
    rights TEXT NOT NULL,
    -- The only project in which it holds; NULL: all.
    project TEXT,
    created_at INTEGER NOT NULL,
    last_used INTEGER,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;

-- The name of a revoked token may be given again; its row stays, for who wants to know.
CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX token_hash ON token (hash);
