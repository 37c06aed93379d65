-- Active accounts are counted, whatever else there is.
CREATE INDEX account_active ON account (id) WHERE status = 'active';
