-- The event log: what the firehose sends, in order. `seq` is the clock in microseconds, or one more than the event before
-- where the clock has not moved on, so that it goes up also when an older database is restored.
CREATE TABLE event (
  seq         INTEGER PRIMARY KEY,
  number      INTEGER NOT NULL,       -- one more than the event before: seq has gaps, differences of this count
  account     INTEGER NOT NULL,
  gap         INTEGER NOT NULL,       -- where in the frame seq goes
  frame       BLOB NOT NULL           -- header and body in DAG-CBOR, without seq
) STRICT;

-- One row: the last event that was forgotten. A cursor before it has missed something.
CREATE TABLE event_floor (
  seq         INTEGER NOT NULL
) STRICT;

INSERT INTO event_floor (seq) VALUES (0);
