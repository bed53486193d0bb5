-- +goose Up
-- How much a key may be used in a period. Several keys can have the same.
CREATE TABLE quotas (
    id           TEXT   NOT NULL PRIMARY KEY,
    amount       BIGINT NOT NULL, -- in one period
    period       BIGINT NOT NULL, -- microseconds
    period_start BIGINT NOT NULL, -- of the period that spent is about
    spent        BIGINT NOT NULL, -- what was leased and has not come back
    lent         BIGINT NOT NULL  -- how much the last lease was
);
CREATE INDEX copies_expiry ON copies (expires); -- a quota is shared by those that serve

ALTER TABLE api_keys ADD COLUMN quota_id TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN idle_expiry BIGINT NOT NULL DEFAULT 0; -- microseconds; 0: it may be idle
CREATE INDEX api_keys_expiry ON api_keys (expires_at) WHERE revoked_at = 0 AND expires_at > 0;
CREATE INDEX api_keys_idle ON api_keys (id) WHERE idle_expiry > 0 AND revoked_at = 0;

-- What an operator is told of, until they have been.
CREATE TABLE notices (
    id       TEXT   NOT NULL PRIMARY KEY, -- the same for what must be told once only
    kind     TEXT   NOT NULL, -- key.leaked, key.expiring, key.idle
    ref      TEXT   NOT NULL, -- the id of a key
    detail   TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at  BIGINT NOT NULL  -- 0: it is told, or given up
);
CREATE INDEX notices_next ON notices (next_at) WHERE next_at > 0;
CREATE INDEX notices_at ON notices (at);
