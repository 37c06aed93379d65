-- ?1 DID. Who is settled stays.
DELETE FROM entry WHERE did = ?1 AND held_until IS NOT NULL
