-- Accounts. `id` is the account's number in every other table; rows are never deleted, so it is never reused.
CREATE TABLE account (
  id          INTEGER PRIMARY KEY,
  did         TEXT NOT NULL UNIQUE,
  handle      TEXT UNIQUE,
  thumbprint  BLOB NOT NULL UNIQUE,   -- RFC 7638 SHA-256 of the agent's key
  status      TEXT NOT NULL,          -- active, deactivated, suspended, takendown, deleted
  signing_key BLOB NOT NULL,          -- sealed under the master key
  entry_ref   TEXT,                   -- the `ref` of the enrollment, verbatim
  created_at  INTEGER NOT NULL        -- microseconds
) STRICT;

-- An enrollment between its reservation and its account. While the row stands the handle is taken; the same key resumes
-- it with the same DID.
CREATE TABLE pending_signup (
  thumbprint  BLOB PRIMARY KEY,
  handle      TEXT NOT NULL UNIQUE,
  did         TEXT NOT NULL,
  signing_key BLOB NOT NULL,
  recovery    TEXT,                   -- did:key that goes first among the rotation keys
  operation   TEXT NOT NULL,          -- the signed genesis operation, JSON
  created_at  INTEGER NOT NULL
) STRICT;

-- Proofs consumed by writes, kept for the length of the window: a proof works once, across a restart too.
-- Ordered by time, so that new rows share one page and old ones are dropped as a range.
CREATE TABLE used_proof (
  iat         INTEGER NOT NULL,       -- seconds
  digest      BLOB NOT NULL,          -- 16 bytes of SHA-256 over key thumbprint and jti
  PRIMARY KEY (iat, digest)
) STRICT, WITHOUT ROWID;

-- Secrets of the server itself, sealed under the master key.
CREATE TABLE server_secret (
  name        TEXT PRIMARY KEY,
  sealed      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
