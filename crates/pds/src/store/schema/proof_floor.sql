-- One row: proofs from before this second may have been used and forgotten.
CREATE TABLE proof_floor (
  iat         INTEGER NOT NULL
) STRICT;

INSERT INTO proof_floor (iat) VALUES (0);
