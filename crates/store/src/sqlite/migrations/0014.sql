-- What the ID tokens of a grant say: nonce, acr, amr, and the claims that were asked for by name, one a line. NULL for grants that have
-- none, and for those of before.
ALTER TABLE grant_terms ADD COLUMN openid TEXT;
