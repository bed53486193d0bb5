-- +goose Up
-- Who said that it is this person, if it was not us: the provider's row, its name at that time
-- (the idp claim), and when the person proved it there (0: it did not say).
ALTER TABLE sessions ADD COLUMN provider_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN idp TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN proved_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE authorizations ADD COLUMN idp TEXT NOT NULL DEFAULT '';
