-- ?1 key, ?2 DID, ?3 handle, ?4 now.
-- Without the handle where that is another key's by now. Who is settled stays as it is.
INSERT OR REPLACE INTO entry (thumbprint, did, handle, held_until)
SELECT ?1, ?2, iif(
    EXISTS (
      SELECT 1 FROM entry
      WHERE handle = ?3 AND thumbprint <> ?1 AND (held_until IS NULL OR held_until > ?4)
    ), NULL, ?3), NULL
WHERE NOT EXISTS (SELECT 1 FROM entry WHERE thumbprint = ?1 AND held_until IS NULL)
