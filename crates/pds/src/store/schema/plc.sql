-- The embedded development directory: every operation it accepted, in order.
CREATE TABLE plc_operation (
  did         TEXT NOT NULL,
  position    INTEGER NOT NULL,       -- 0 is the genesis operation
  operation   TEXT NOT NULL,          -- JSON as accepted
  cid         TEXT NOT NULL,
  nullified   INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,       -- microseconds
  PRIMARY KEY (did, position)
) STRICT, WITHOUT ROWID;
