-- +goose Up
-- What verifiers elsewhere must refuse from now on, until the last thing that it could concern
-- has expired. seq orders the transactions: see storage/news.go.
CREATE TABLE revocations (
    seq     BIGINT  NOT NULL,
    kind    TEXT    NOT NULL, -- key, authorization, session, token, account, client
    ref     TEXT    NOT NULL, -- its id
    until   BIGINT  NOT NULL,
    revoked BOOLEAN NOT NULL, -- false: it is good again, or was changed
    PRIMARY KEY (seq, kind, ref)
);
CREATE INDEX revocations_expiry ON revocations (until);

ALTER TABLE changes ADD COLUMN seq BIGINT NOT NULL DEFAULT 0; -- 0: written by an older program
CREATE INDEX changes_seq ON changes (seq);

-- The copies of the server that may be serving: each prolongs its row, and takes it away when it ends.
CREATE TABLE copies (
    id      TEXT   NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL
);

-- Which copies have read which change, of those that somebody waits for.
CREATE TABLE confirmations (
    change_id TEXT   NOT NULL,
    copy_id   TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (change_id, copy_id)
);
CREATE INDEX confirmations_at ON confirmations (at);
