-- +goose Up
-- By which identity somebody is signed in, and what was allowed in such a session: both end with the
-- link, and with the provider. Empty: by none.
ALTER TABLE sessions ADD COLUMN subject TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_provider ON sessions (provider_id) WHERE provider_id <> '';
ALTER TABLE authorizations ADD COLUMN provider_id TEXT NOT NULL DEFAULT '';
ALTER TABLE authorizations ADD COLUMN subject TEXT NOT NULL DEFAULT '';
CREATE INDEX authorizations_provider ON authorizations (provider_id) WHERE provider_id <> '';
UPDATE authorizations SET provider_id = (SELECT s.provider_id FROM sessions s WHERE s.id = authorizations.session_id)
    WHERE session_id IN (SELECT id FROM sessions WHERE provider_id <> '');

-- Tokens that were kept, and that are to be revoked at their provider now that nobody may have them.
CREATE TABLE upstream_revocations (
    id          TEXT   NOT NULL PRIMARY KEY,
    provider_id TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    account_id  TEXT   NOT NULL,
    sealed      BYTEA  NOT NULL, -- as they were kept: bound to the three before it
    at          BIGINT NOT NULL, -- since when
    attempts    BIGINT NOT NULL,
    next_at     BIGINT NOT NULL
);
CREATE INDEX upstream_revocations_next ON upstream_revocations (next_at);
CREATE INDEX upstream_revocations_of ON upstream_revocations (provider_id, subject);

-- Providers that are gone, as long as there is something to revoke there.
CREATE TABLE removed_providers (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    config     TEXT   NOT NULL,
    sealed     BYTEA  NOT NULL,
    removed_at BIGINT NOT NULL
);
