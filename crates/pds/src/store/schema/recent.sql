-- The tree nodes that the last commit wrote: what the next commit most likely writes again. Kept here, a commit that appends
-- writes one row instead of one for each layer of the tree. A row in `node` with the place of one of these is out of date.
ALTER TABLE repo ADD COLUMN recent BLOB NOT NULL DEFAULT X'';
