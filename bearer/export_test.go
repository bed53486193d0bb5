package bearer

import (
	"context"
	"time"
)

// VerifyAnew verifies a token as if it had not been seen before.
func VerifyAnew(t *Tokens, token string, now time.Time) error {
	_, err := t.verify(context.Background(), token, now)
	return err
}

// ScanClaims reads claims in both ways.
func ScanClaims(text string) (fast, all any, scanned bool, err error) {
	f, a := new(claimSet), new(claimSet)
	scanned = scan(text, f)
	err = unmarshalObject([]byte(text), a)
	return f, a, scanned, err
}
