-- +goose Up
-- The entry of the audit log for the last change.
ALTER TABLE providers ADD COLUMN event TEXT NOT NULL DEFAULT '';
