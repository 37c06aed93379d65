-- Blobs by account and hash, and where the bytes are. While no record refers to a blob, `released_at` says since when: its
-- upload, or the end of the last reference.
CREATE TABLE blob (
  account     INTEGER NOT NULL,
  cid         BLOB NOT NULL,
  key         TEXT NOT NULL,          -- of the object in the blob store, never used again
  mime_type   TEXT NOT NULL,
  size        INTEGER NOT NULL,
  released_at INTEGER,                -- microseconds; NULL while a record refers to it
  PRIMARY KEY (account, cid)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_released ON blob (released_at) WHERE released_at IS NOT NULL;
CREATE INDEX blob_unreferenced ON blob (account, size) WHERE released_at IS NOT NULL;

-- Which record refers to which blob. The blob may be missing: an imported repo comes before its blobs.
CREATE TABLE blob_ref (
  account     INTEGER NOT NULL,
  collection  TEXT NOT NULL,
  rkey        TEXT NOT NULL,
  cid         BLOB NOT NULL,
  rev         TEXT NOT NULL,          -- the commit that wrote the record
  PRIMARY KEY (account, collection, rkey, cid)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_ref_cid ON blob_ref (account, cid, rev DESC);

-- Objects in the blob store that belong to no blob: those about to be stored, and those to be deleted.
CREATE TABLE blob_garbage (
  key         TEXT PRIMARY KEY,
  held_until  INTEGER                 -- microseconds; until then an upload may make it a blob's. NULL: nobody can
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_garbage_held ON blob_garbage (held_until) WHERE held_until IS NOT NULL;
