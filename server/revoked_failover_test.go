//go:build linux

package server

import (
	"strings"
	"testing"
	"time"

	"mintmark/internal/secret"
	"mintmark/storage/storagetest"
)

// A service that heard more than the standby did, in numbers, is told to begin anew when that takes over. It
// misses nothing that is revoked then, with a number that it takes for an old one.
func TestAListenerMissesNothingOverAFailover(t *testing.T) {
	primary := storagetest.StartCluster(t)
	first, _ := start(t, func(c *Config) { c.Database = primary.URL() }) // brings the schema
	if err := first.db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	standby := primary.AddStandby(t)
	c := connect(t, storagetest.Either(standby, primary))
	one := c.all[0].db
	heard := func() string { return c.feed.State().Since }
	before := secret.NewID("")
	if err := one.Issuer().RevokeToken(t.Context(), before, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c.refused(c.token(map[string]any{"jti": before}), time.Now())
	standby.Stop(t)
	was := heard()
	primary.Exec(t, strings.Repeat(`BEGIN; SELECT pg_current_xact_id(); ROLLBACK;`, 20))
	waitFor(t, func() bool { return heard() != was }) // with the next beat: it has heard of all these

	jti := secret.NewID("")
	token := c.token(map[string]any{"jti": jti})
	if code := c.says(token); code != 200 {
		t.Fatalf("not good before: %d", code)
	}
	primary.Kill(t)
	standby.Start(t)
	standby.Promote(t)
	began := time.Now()
	waitFor(t, func() bool {
		return one.Issuer().RevokeToken(t.Context(), jti, time.Now().Add(time.Hour)) == nil
	})
	t.Logf("refused %s after it was revoked, %s after the promotion", c.refused(token, time.Now()).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}
