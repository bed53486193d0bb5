package bearer_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"mintmark/bearer"
)

// TestAllAtOnce is for the race detector: requests, rotations, outages and Forget at the same
// time, and never an answer that was not one of the right ones.
func TestAllAtOnce(t *testing.T) {
	d := newDoor(t)
	keys := []*signer{newSigner(t, "ES256", "a"), newSigner(t, "ES256", "b")}
	d.op.publish(keys...)
	forger := newSigner(t, "ES256", "a")
	tokens := d.op.believing()
	start := time.Now()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := range 50 {
				token := keys[n%2].sign(d.op.good(claims{"jti": fmt.Sprint(n % 10), "exp": start.Add(9 * time.Hour).Unix()}))
				at := start.Add(time.Duration(n) * time.Minute)
				for range 3 {
					if _, err := tokens.Verify(t.Context(), shown(token), at); err != nil {
						t.Errorf("worker %d: %v", worker, err)
					}
				}
				if _, err := tokens.Verify(t.Context(), shown(forger.sign(d.op.good())), at); !errors.Is(err, bearer.ErrInvalid) {
					t.Errorf("forged: %v", err)
				}
				w := httptest.NewRecorder()
				d.guard.Require("orders:read")(who).ServeHTTP(w, request(t, "GET /", "Authorization: Bearer "+d.token))
				if w.Code != 200 && w.Code != 401 {
					t.Errorf("the door: %d", w.Code)
				}
			}
		})
	}
	all.Go(func() {
		for n := range 200 {
			tokens.Forget(fmt.Sprint(n%10), "acc_ada")
			d.guard.Forget("cli_app")
			d.op.publish(append([]*signer{newSigner(t, "ES256", fmt.Sprint(n))}, keys...)...)
		}
	})
	all.Wait()
}
