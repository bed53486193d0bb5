package storage

import (
	"context"
	"time"

	"mintmark/internal/secret"
)

// confirmationsKept is how long it is remembered who confirmed what: longer than anybody waits.
const confirmationsKept = time.Minute

// Serving says until when a copy of the server may be serving from what it remembers, if
// nothing is heard of it any more.
func (db *DB) Serving(ctx context.Context, copyID string, until time.Time) error {
	_, err := db.write(ctx, do(`
		INSERT INTO copies (id, expires) VALUES ($1, $2)
		ON CONFLICT (id) DO UPDATE SET expires = excluded.expires`,
		copyID, until))
	return err
}

// Ended says that a copy of the server serves no more.
func (db *DB) Ended(ctx context.Context, copyID string) error {
	_, err := db.write(ctx, do(`DELETE FROM copies WHERE id = $1`, copyID))
	return err
}

// Ask asks every copy of the server to confirm that it has read all changes before this moment,
// and returns the name of the question.
func (db *DB) Ask(ctx context.Context, now time.Time) (question string, err error) {
	question = secret.NewID("")
	_, err = db.write(ctx, db.changed(AskChange, question, now))
	return question, err
}

// Confirm answers a question for one copy, which has forgotten what it read before it.
func (db *DB) Confirm(ctx context.Context, question, copyID string, now time.Time) error {
	_, err := db.write(ctx, do(`
		INSERT INTO confirmations (change_id, copy_id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		question, copyID, now))
	return err
}

// Unconfirmed counts the copies that may be serving and have not answered a question.
func (db *DB) Unconfirmed(ctx context.Context, question string, now time.Time) (copies int64, err error) {
	_, err = db.get(ctx, into{&copies}, `
		SELECT COUNT(*) FROM copies
		WHERE expires > $2 AND id NOT IN (SELECT copy_id FROM confirmations WHERE change_id = $1)`,
		question, now)
	return copies, err
}
