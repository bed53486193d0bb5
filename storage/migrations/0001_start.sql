-- +goose Up
-- One text for SQLite and PostgreSQL: TEXT, BIGINT, BYTEA, BOOLEAN; times are
-- microseconds since 1970 from the server's clock, 0 for "not"; lists are separated by spaces.

CREATE TABLE signing_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    alg        TEXT   NOT NULL,
    generation BIGINT NOT NULL,
    public     BYTEA  NOT NULL,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    signs_at   BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    UNIQUE (alg, generation)
);

CREATE TABLE named_keys (
    name       TEXT   NOT NULL PRIMARY KEY,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE accounts (
    id             TEXT    NOT NULL PRIMARY KEY,
    email          TEXT    NOT NULL,
    email_key      TEXT    NOT NULL UNIQUE,
    email_verified BOOLEAN NOT NULL,
    name           TEXT    NOT NULL,
    role           TEXT    NOT NULL,
    claims         TEXT    NOT NULL,
    password_hash  TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL,
    disabled_at    BIGINT  NOT NULL
);
CREATE INDEX accounts_admins ON accounts (id) WHERE role = 'admin';

CREATE TABLE sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    account_id TEXT   NOT NULL,
    digest     BYTEA  NOT NULL,
    auth_time  BIGINT NOT NULL,
    amr        TEXT   NOT NULL,
    acr        TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address    TEXT   NOT NULL,
    user_agent TEXT   NOT NULL,
    ended_at   BIGINT NOT NULL,
    end_reason TEXT   NOT NULL
);
CREATE INDEX sessions_account ON sessions (account_id, id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE counters (
    key        TEXT   NOT NULL PRIMARY KEY,
    n          BIGINT NOT NULL,
    resets_at  BIGINT NOT NULL
);
CREATE INDEX counters_expiry ON counters (resets_at);

CREATE TABLE setup_codes (
    id         BIGINT NOT NULL PRIMARY KEY, -- always 1: there is one
    digest     BYTEA  NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE clients (
    id            TEXT   NOT NULL PRIMARY KEY,
    metadata      TEXT   NOT NULL, -- the Client as JSON
    secrets       TEXT   NOT NULL, -- a JSON array of ClientSecret
    secret_hashes TEXT   NOT NULL, -- their hashes: which set of secrets it is
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    disabled_at   BIGINT NOT NULL
);

CREATE TABLE consents (
    account_id TEXT   NOT NULL,
    client_id  TEXT   NOT NULL,
    scopes     TEXT   NOT NULL,
    granted_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, client_id)
);
CREATE INDEX consents_client ON consents (client_id, account_id);

CREATE TABLE authorizations (
    id              TEXT    NOT NULL PRIMARY KEY,
    client_id       TEXT    NOT NULL,
    account_id      TEXT    NOT NULL, -- empty for a request that was denied
    session_id      TEXT    NOT NULL,
    scopes          TEXT    NOT NULL,
    audience        TEXT    NOT NULL,
    claims          TEXT    NOT NULL,
    auth_time       BIGINT  NOT NULL,
    acr             TEXT    NOT NULL,
    amr             TEXT    NOT NULL,
    nonce           TEXT    NOT NULL,
    offline         BOOLEAN NOT NULL,
    created_at      BIGINT  NOT NULL,
    redirect_uri    TEXT    NOT NULL,
    challenge       TEXT    NOT NULL,
    code_digest     BYTEA   NOT NULL,
    code_expires_at BIGINT  NOT NULL,
    code_spent_at   BIGINT  NOT NULL,
    seed            BYTEA   NOT NULL, -- empty: no refresh token
    generation      BIGINT  NOT NULL,
    rotated_at      BIGINT  NOT NULL,
    idle_until      BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL,
    revoked_at      BIGINT  NOT NULL,
    revoke_reason   TEXT    NOT NULL,
    forget_at       BIGINT  NOT NULL,
    bought          TEXT    NOT NULL  -- the opaque access token of the last exchange, if it was one
);
CREATE INDEX authorizations_account ON authorizations (account_id, client_id);
CREATE INDEX authorizations_client ON authorizations (client_id);
CREATE INDEX authorizations_session ON authorizations (session_id);
CREATE INDEX authorizations_forget ON authorizations (forget_at);

CREATE TABLE access_tokens (
    id               TEXT   NOT NULL PRIMARY KEY,
    digest           BYTEA  NOT NULL,
    authorization_id TEXT   NOT NULL,
    client_id        TEXT   NOT NULL,
    scopes           TEXT   NOT NULL,
    audience         TEXT   NOT NULL,
    issued_at        BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
);
CREATE INDEX access_tokens_expiry ON access_tokens (expires_at);

CREATE TABLE revoked_tokens (
    jti        TEXT   NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens (expires_at);

CREATE TABLE assertions (
    client_id  TEXT   NOT NULL,
    jti        TEXT   NOT NULL, -- SHA-256 of the jti, hex: it comes from outside
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti)
);
CREATE INDEX assertions_expiry ON assertions (expires_at);

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    kind       TEXT    NOT NULL,
    owner_type TEXT    NOT NULL,
    owner_id   TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    digest     BYTEA   NOT NULL UNIQUE,
    scopes     TEXT    NOT NULL,
    audience   TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    created_by TEXT    NOT NULL,
    expires_at BIGINT  NOT NULL,
    disabled   BOOLEAN NOT NULL,
    revoked_at BIGINT  NOT NULL,
    version    BIGINT  NOT NULL
);
CREATE INDEX api_keys_owner ON api_keys (owner_type, owner_id);

-- What a copy of the server may have cached and must forget: read every second.
CREATE TABLE changes (
    id   TEXT   NOT NULL PRIMARY KEY, -- in order of time
    kind TEXT   NOT NULL,             -- client, api_key
    ref  TEXT   NOT NULL,
    at   BIGINT NOT NULL
);
CREATE INDEX changes_at ON changes (at);

-- One holder at a time does the housekeeping.
CREATE TABLE leases (
    name   TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL
);
