package issuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"mintmark/internal/secret"
)

// A refresh token is not stored. Its id is its authorization and its generation; its secret is
// an HMAC, under a key that is not in the database, of the authorization's seed and the
// generation. So the successor of a token can be given again, byte for byte, to a client that
// did not get the answer; and neither who has the database nor who has the key can make one.
//
// There is one row for a family, however often it is refreshed, and the row knows the newest
// generation.

// seedLen is the length of a seed, in bytes.
const seedLen = 32

// refreshToken returns the token of a generation.
func (p *Provider) refreshToken(a *Authorization, generation int64) secret.Token {
	mac := hmac.New(sha256.New, p.RefreshKey[:])
	mac.Write(a.Seed)
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(generation))
	mac.Write(number[:])
	var buf [sha256.Size]byte
	sum := mac.Sum(buf[:0])
	// 128 of its bits, as twice 11 characters.
	text := secret.AppendBase62(nil, binary.BigEndian.Uint64(sum[:8]), 11)
	text = secret.AppendBase62(text, binary.BigEndian.Uint64(sum[8:16]), 11)
	id := secret.AppendBase62([]byte(a.ID), uint64(generation), secret.GenerationLen)
	return p.Mint.Compose(secret.KindRefresh, string(id), string(text))
}

// parseRefresh recognises a refresh token, without a look into the database. It does not
// prove that it is one: only its authorization's seed does, see isRefresh.
func (p *Provider) parseRefresh(text string) (id string, generation int64, ok bool) {
	name, ok := p.Mint.Parse(secret.KindRefresh, text)
	if !ok {
		return "", 0, false
	}
	at := len(name) - secret.GenerationLen
	n, ok := secret.ParseBase62(name[at:])
	return name[:at], int64(n), ok && n > 0 // six digits always fit
}

// isRefresh says whether a text is the token of that generation, in constant time.
func (p *Provider) isRefresh(a *Authorization, generation int64, text string) bool {
	if len(a.Seed) == 0 {
		return false // none was ever issued
	}
	real, shown := p.refreshToken(a, generation).Digest(), secret.Wrap(text).Digest()
	return shown.Matches(real[:])
}

// A turn is what a genuine refresh token may do now.
type turn int

// The turns.
const (
	turnDead   turn = iota // nothing: its family is over, whatever it is
	turnNext               // it is the newest: the family moves on
	turnAgain              // it is the one before, and just was the newest: it gets its successor again
	turnReused             // it was the newest long ago: somebody else has it
)

// turnOf decides. RFC 9700 §4.14.2: a refresh token that was replaced and comes again is in
// the hands of two. In the grace it is far more likely that an answer was lost, or that two
// threads of one client refreshed at the same time.
func turnOf(st *Standing, generation int64, now time.Time, grace time.Duration) turn {
	switch {
	case st.against() != "" || !st.IdleUntil.After(now) || !st.ExpiresAt.After(now):
		return turnDead
	case generation == st.Generation:
		return turnNext
	case generation == st.Generation-1 && now.Sub(st.RotatedAt) < grace:
		return turnAgain
	}
	return turnReused
}
