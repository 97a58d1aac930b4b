-- Calibration models of an original database, kept as they were; nothing here uses them.
CREATE TABLE imported_model (
    source TEXT NOT NULL,
    -- The number that it has there.
    id INTEGER NOT NULL,
    -- JSON.
    parameters TEXT,
    -- A Python pickle.
    model BLOB NOT NULL,
    -- JSON.
    input_order TEXT,
    predicts TEXT NOT NULL,
    score REAL,
    n INTEGER,
    invalid INTEGER NOT NULL,
    made_at INTEGER,
    imported_at INTEGER NOT NULL,
    PRIMARY KEY (source, id)
) STRICT;
