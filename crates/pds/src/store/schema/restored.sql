-- Only in a backup: one row. What the network knows may be newer than what is here, so every account is told anew when a
-- server is started on it. `after` is the last one that was.
CREATE TABLE restored (
  after       INTEGER NOT NULL
) STRICT;
