-- What each relay was told of this server and said of it, as JSON, where processes come and go with the requests.
CREATE TABLE told_relay (
  origin  TEXT PRIMARY KEY,
  state   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
