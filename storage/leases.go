package storage

import (
	"context"
	"time"
)

// Lease makes holder the one who does a job until then, and says whether it worked: nobody
// else holds it at that time, or holder does already and prolongs it.
func (db *DB) Lease(ctx context.Context, name, holder string, until, now time.Time) (bool, error) {
	n, err := db.write(ctx, do(`
		INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE leases.until <= $4 OR leases.holder = excluded.holder`,
		name, holder, until, now))
	if err != nil {
		return false, err
	}
	return n[0] == 1, nil
}
