package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"mintmark/internal/secret"
)

// fastHash begins the hash of a secret that is too random to guess, so that there is nothing
// for a slow hash to slow.
const fastHash = "sha256:"

// NewClientSecret makes a secret for a client, to be shown once, and what to remember of it.
func NewClientSecret(m *secret.Mint, now time.Time) (secret.Token, ClientSecret) {
	t := m.Issue(secret.KindClientSecret, secret.NewShortID())
	digest := t.Digest()
	return t, ClientSecret{Hash: fastHash + hex.EncodeToString(digest[:]), CreatedAt: now}
}

// Good says whether a secret has not expired.
func (s *ClientSecret) Good(now time.Time) bool {
	return s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt)
}

// HashClientSecret returns what to remember of a secret that somebody chose. From 32 bytes on
// it is taken for random and hashed fast; what a person can remember is hashed slowly.
func HashClientSecret(ctx context.Context, h *secret.Hasher, text string, now time.Time) (ClientSecret, error) {
	if n := len(text); n < 12 || n > 512 || !visible(text) {
		// RFC 6749 Appendix A.2: client-secret = *VSCHAR
		return ClientSecret{}, invalid("client_secret", "must be 12 to 512 printable ASCII characters without spaces")
	}
	if len(text) >= 32 {
		sum := sha256.Sum256([]byte(text))
		return ClientSecret{Hash: fastHash + hex.EncodeToString(sum[:]), CreatedAt: now}, nil
	}
	phc, err := h.Hash(ctx, text)
	if err != nil {
		return ClientSecret{}, err
	}
	return ClientSecret{Hash: phc, CreatedAt: now}, nil
}

// secretMatches says whether a client has a secret. It costs the same for each secret of the
// client that has not expired, the right one or not.
func (p *Provider) secretMatches(ctx context.Context, c *Client, presented string, now time.Time) (bool, error) {
	matches := false
	for i := range c.Secrets {
		kept := &c.Secrets[i]
		if !kept.Good(now) {
			continue
		}
		if digits, ok := strings.CutPrefix(kept.Hash, fastHash); ok {
			matches = digestMatches(digits, presented) || matches
			continue
		}
		ok, err := p.secrets.match(ctx, c.ID, kept.Hash, presented)
		if err != nil {
			return false, err
		}
		matches = ok || matches
	}
	return matches, nil
}

// digestMatches compares with 64 hex digits, in time that does not depend on either.
func digestMatches(digits, presented string) bool {
	sum := sha256.Sum256([]byte(presented))
	var is [2 * sha256.Size]byte
	hex.Encode(is[:], sum[:])
	return subtle.ConstantTimeCompare(is[:], []byte(digits)) == 1
}

const (
	slowSecretsKept = 10_000
	slowSecretsBusy = 8
)

// slowSecrets verifies client secrets that a person chose. Their hash is slow on purpose, and
// a client shows its secret with every request: so one that was right is remembered, as an
// HMAC under a key that dies with the process. A wrong one is not: guessing stays slow.
type slowSecrets struct {
	hasher *secret.Hasher
	key    []byte
	right  *lru.Cache[[sha256.Size]byte, struct{}]
	flight singleflight.Group
	// turns bounds how many are being verified. People who sign in share the hasher: whoever
	// guesses the secrets of a client must not be able to fill its queue.
	turns chan struct{}
}

func newSlowSecrets(h *secret.Hasher) (*slowSecrets, error) {
	right, err := lru.New[[sha256.Size]byte, struct{}](slowSecretsKept)
	if err != nil {
		return nil, err
	}
	return &slowSecrets{hasher: h, key: secret.Bytes(32), right: right, turns: make(chan struct{}, slowSecretsBusy)}, nil
}

// match says whether phc is the hash of what was presented. It returns [secret.ErrBusy] if
// too many are being verified.
func (s *slowSecrets) match(ctx context.Context, clientID, phc, presented string) (bool, error) {
	mac := hmac.New(sha256.New, s.key)
	for _, part := range []string{clientID, phc, presented} {
		// None of the first two holds a NUL, so that no two triples look the same.
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	known := [sha256.Size]byte(mac.Sum(nil))
	if _, ok := s.right.Get(known); ok {
		return true, nil
	}
	// The many copies of one client that start together wait for one answer.
	result, err, _ := s.flight.Do(string(known[:]), func() (any, error) {
		select {
		case s.turns <- struct{}{}:
		default:
			return false, secret.ErrBusy
		}
		defer func() { <-s.turns }()
		ok, _, err := s.hasher.Verify(context.WithoutCancel(ctx), phc, presented)
		if ok && err == nil {
			s.right.Add(known, struct{}{})
		}
		return ok, err
	})
	ok, _ := result.(bool)
	return ok, err
}
