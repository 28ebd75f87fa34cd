-- How strong a login was, by what, and what else was said of it. Those of before were logins by password.
ALTER TABLE sessions ADD COLUMN acr TEXT NOT NULL DEFAULT 'urn:regrant:acr:password';
ALTER TABLE sessions ADD COLUMN amr TEXT NOT NULL DEFAULT 'pwd';
ALTER TABLE sessions ADD COLUMN claims TEXT NOT NULL DEFAULT '';
