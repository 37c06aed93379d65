-- The head of each repo: what a write compares and swaps.
CREATE TABLE repo (
  account     INTEGER PRIMARY KEY REFERENCES account (id),
  rev         TEXT NOT NULL,
  commit_cid  BLOB NOT NULL,
  commit_body BLOB NOT NULL,          -- the signed commit, DAG-CBOR
  root_cid    BLOB NOT NULL,
  root_place  INTEGER NOT NULL,
  next_place  INTEGER NOT NULL        -- the first place never used
) STRICT;

-- Tree nodes by place, rewritten in place: a write touches pages by where a node is, not by a random hash.
-- id = account * 2^28 + place. A rowid table, since WITHOUT ROWID spills rows over 1 kB to overflow pages.
CREATE TABLE node (
  id          INTEGER PRIMARY KEY,
  rev         TEXT NOT NULL,          -- the commit that wrote it
  cid         BLOB NOT NULL,
  block       BLOB NOT NULL,          -- the node, DAG-CBOR
  children    BLOB NOT NULL           -- places of its subtrees, in order
) STRICT;

-- Records, clustered by what they are listed by.
CREATE TABLE record (
  account     INTEGER NOT NULL,
  collection  TEXT NOT NULL,
  rkey        TEXT NOT NULL,
  rev         TEXT NOT NULL,          -- the commit that wrote it
  cid         BLOB NOT NULL,
  body        BLOB NOT NULL,          -- DAG-CBOR
  PRIMARY KEY (account, collection, rkey)
) STRICT, WITHOUT ROWID;
