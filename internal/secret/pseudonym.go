package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// Pseudonym returns a name for something that a table must tell apart but not know, such
// as an address that somebody typed: 43 characters that are always the same for the same
// purpose and value, and say nothing to whoever has the table but not the tag key. A plain
// hash would not do: there are few enough IPv4 addresses to try them all.
func (m *Mint) Pseudonym(purpose, value string) string {
	h := hmac.New(sha256.New, m.key[:])
	// A tag is over something that begins with "mm_": these never meet.
	h.Write([]byte("pseudonym\x00" + purpose + "\x00" + value))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
