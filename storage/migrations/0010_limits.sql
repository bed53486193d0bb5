-- +goose Up
-- What whoever said who it is also said of what they may do there: one JSON object of numbers, texts
-- and booleans (the limits claim), or nothing.
ALTER TABLE sessions ADD COLUMN limits TEXT NOT NULL DEFAULT '';
ALTER TABLE authorizations ADD COLUMN limits TEXT NOT NULL DEFAULT '';
