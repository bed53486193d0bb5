-- +goose Up
ALTER TABLE api_keys ADD COLUMN allow TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN deny TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN limits TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN metadata TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN created_via TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN leaked BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE api_keys ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN replaces TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN replaced_by TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN grace_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN event TEXT NOT NULL DEFAULT ''; -- the last change, in audit
CREATE INDEX api_keys_imported ON api_keys (id) WHERE kind = 'im';

-- Written in batches, long after the requests: apart, so that nothing else waits for it.
CREATE TABLE api_key_usage (
    id           TEXT   NOT NULL PRIMARY KEY,
    last_used_at BIGINT NOT NULL,
    last_address TEXT   NOT NULL,
    uses         BIGINT NOT NULL
);

-- Which of its scopes a key was ever used for.
CREATE TABLE api_key_scopes (
    key_id TEXT   NOT NULL,
    scope  TEXT   NOT NULL,
    at     BIGINT NOT NULL, -- the first time
    PRIMARY KEY (key_id, scope)
);

CREATE TABLE service_accounts (
    id          TEXT   NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    description TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    created_by  TEXT   NOT NULL,
    disabled_at BIGINT NOT NULL,
    removed_at  BIGINT NOT NULL,
    event       TEXT   NOT NULL
);
CREATE UNIQUE INDEX service_accounts_name ON service_accounts (name) WHERE removed_at = 0;

-- Who changed what, when and from where. Rows are added, never changed.
CREATE TABLE audit (
    id         TEXT   NOT NULL PRIMARY KEY, -- in order of time, whatever the collation: hexadecimal
    at         BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    via        TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    ref        TEXT   NOT NULL,
    detail     TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    request_id TEXT   NOT NULL
);
CREATE INDEX audit_ref ON audit (ref, id);
