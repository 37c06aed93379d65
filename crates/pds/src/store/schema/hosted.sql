-- Accounts in stores of their own, as they were when they last delivered events. In the order in which each did so first.
CREATE TABLE hosted (
  id          INTEGER PRIMARY KEY,    -- `account` of the account's events
  did         TEXT NOT NULL UNIQUE,
  delivered   INTEGER NOT NULL,       -- the last event that came, by its seq in the account's own store
  rev         TEXT NOT NULL,
  head        BLOB NOT NULL,          -- CID of the commit
  status      TEXT NOT NULL
) STRICT;

CREATE INDEX hosted_active ON hosted (id) WHERE status = 'active';

-- Which of them have records in a collection.
CREATE TABLE hosted_collection (
  collection  TEXT NOT NULL,
  hosted      INTEGER NOT NULL,
  PRIMARY KEY (collection, hosted)
) STRICT, WITHOUT ROWID;
