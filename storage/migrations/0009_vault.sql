-- +goose Up
-- What upstream providers gave us to act there for people: one row for each identity.
CREATE TABLE upstream_tokens (
    provider_id TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    account_id  TEXT   NOT NULL,
    sealed      BYTEA  NOT NULL, -- the access and the refresh token
    scopes      TEXT   NOT NULL, -- that the provider granted
    expires_at  BIGINT NOT NULL, -- of the access token; 0: the provider did not say
    version     BIGINT NOT NULL, -- grows whenever the tokens are others
    lease       TEXT   NOT NULL, -- who is refreshing them; empty: nobody
    kept_at     BIGINT NOT NULL,
    PRIMARY KEY (provider_id, subject)
);
CREATE INDEX upstream_tokens_account ON upstream_tokens (account_id);
