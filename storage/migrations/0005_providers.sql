-- +goose Up
-- Who signs people in for us.
CREATE TABLE providers (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL UNIQUE,
    config      TEXT   NOT NULL, -- the Provider as JSON, without its secret
    sealed      BYTEA  NOT NULL, -- the client secret; empty: there is none
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    disabled_at BIGINT NOT NULL
);

-- Who somebody is, according to somebody else. (provider, subject) is the person: an e-mail
-- address is not.
CREATE TABLE identities (
    provider_id TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    account_id  TEXT   NOT NULL,
    email       TEXT   NOT NULL, -- as the provider named it last: for people to recognise it by
    role        TEXT   NOT NULL, -- that the account has from the provider's rules
    linked_at   BIGINT NOT NULL,
    used_at     BIGINT NOT NULL,
    PRIMARY KEY (provider_id, subject)
);
CREATE INDEX identities_account ON identities (account_id);

-- Each state works once.
CREATE TABLE spent_states (
    id         TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX spent_states_expiry ON spent_states (expires_at);
