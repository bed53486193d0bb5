package keys

import (
	"context"
	"time"
)

// SetClock makes the keyring live by another clock.
func (k *Keyring) SetClock(now func() time.Time) { k.now = now }

// OnlyES256 leaves the RSA ring out: making a thousand RSA keys takes minutes.
func (k *Keyring) OnlyES256() { k.algs = []Alg{ES256} }

// Round is one turn of Run.
func (k *Keyring) Round(ctx context.Context) error { return k.round(ctx) }

// Lead and Keep are the spans of the schedule.
func (k *Keyring) Lead() time.Duration { return k.cfg.lead() }

// Keep is how long a key is published after it signed.
func (k *Keyring) Keep() time.Duration { return k.cfg.keep() }

// Header is the text of the header of a token.
func Header(alg Alg, kid, typ string) string {
	return `{"alg":"` + string(alg) + `","kid":"` + kid + `","typ":"` + typ + `"}`
}

// StaleAfter is how old a view may be.
const StaleAfter = staleAfter

// Remembered is how many tokens are remembered, and the most that there can be.
func (k *Keyring) Remembered() (n, most int) {
	for _, shard := range k.verified {
		n += shard.Len()
	}
	return n, verifiedShards * verifiedPerShard
}

// Remember remembers a token that was never checked.
func (k *Keyring) Remember(sum [32]byte) { k.verified.add(&sum, nil) }
