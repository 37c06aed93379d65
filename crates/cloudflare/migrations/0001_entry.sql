-- Who has which handle, and where an account is. A key is known from the moment it claims a handle.
CREATE TABLE entry (
    -- Of the agent's key, as RFC 7638 says, in base64url. The name of the account's object.
    thumbprint TEXT PRIMARY KEY,
    did TEXT NOT NULL UNIQUE,
    -- Missing when the handle went to another key before the account was settled.
    handle TEXT UNIQUE,
    -- When the claim runs out, in microseconds. Missing when it is settled.
    held_until INTEGER
) STRICT, WITHOUT ROWID;
