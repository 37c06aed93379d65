-- ?1 key, ?2 DID, ?3 handle, ?4 until when, ?5 now.
-- In place of what the key has claimed before, and of the claim of another key that has run out.
INSERT OR REPLACE INTO entry (thumbprint, did, handle, held_until)
SELECT ?1, ?2, ?3, ?4
WHERE NOT EXISTS (SELECT 1 FROM entry WHERE thumbprint = ?1 AND held_until IS NULL)
  AND NOT EXISTS (
    SELECT 1 FROM entry
    WHERE handle = ?3 AND thumbprint <> ?1 AND (held_until IS NULL OR held_until > ?5)
  )
