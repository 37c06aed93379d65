-- Which accounts have records in a collection: kept by the commit that creates the first or deletes the last one.
CREATE TABLE repo_collection (
  collection  TEXT NOT NULL,
  account     INTEGER NOT NULL,
  PRIMARY KEY (collection, account)
) STRICT, WITHOUT ROWID;

INSERT INTO repo_collection (collection, account) SELECT DISTINCT collection, account FROM record;
