-- ?1 key, ?2 DID, ?3 handle. Whether the key has the handle, for good or for now.
SELECT 1 AS found FROM entry WHERE thumbprint = ?1 AND did = ?2 AND handle = ?3
