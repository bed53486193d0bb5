package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"mintmark/apikeys"
	"mintmark/issuer"
	"mintmark/storage"
	"mintmark/upstream"
)

// vaultDoor is the kept tokens of providers as the issuer asks for them.
type vaultDoor struct {
	upstream *upstream.Registry
	db       *storage.DB
	// noted is what this copy has written down lately. The audit log has one entry for each token that
	// a client has got from an address: to have it once more tells nothing new, and an agent that asks
	// every second would fill the log.
	noted *lru.Cache[[sha256.Size]byte, struct{}]
}

const notedHandOuts = 10_000

func newVaultDoor(registry *upstream.Registry, db *storage.DB) (vaultDoor, error) {
	noted, err := lru.New[[sha256.Size]byte, struct{}](notedHandOuts)
	return vaultDoor{registry, db, noted}, err
}

// Hand implements [issuer.Vault].
func (d vaultDoor) Hand(ctx context.Context, provider, accountID string, now time.Time) (issuer.Held, error) {
	held, err := d.upstream.Hand(ctx, provider, accountID, now)
	switch {
	case errors.Is(err, upstream.ErrUnknown), errors.Is(err, upstream.ErrNotKept):
		return issuer.Held{}, issuer.ErrNotFound
	case errors.Is(err, upstream.ErrAway):
		return issuer.Held{}, &issuer.Error{Code: "temporarily_unavailable", RetryAfter: 5 * time.Second,
			Description: "The provider does not answer now, and its token is over."}
	case err != nil:
		return issuer.Held{}, err
	}
	return issuer.Held{Token: held.Access, Scopes: held.Scopes, ExpiresAt: held.ExpiresAt}, nil
}

// mostDetail is how much of its scopes an entry of the audit log has.
const mostDetail = 1000

// Note implements [issuer.Vault].
func (d vaultDoor) Note(ctx context.Context, h issuer.HandOut) error {
	from := ""
	if h.Address.IsValid() {
		from = h.Address.String()
	}
	token := h.Token.Digest()
	key := sha256.Sum256([]byte(strings.Join([]string{h.ClientID, h.AccountID, h.Provider, from, string(token[:])}, "\x00")))
	if _, ok := d.noted.Get(key); ok {
		return nil
	}
	by := apikeys.By{Actor: h.ClientID, Via: "token", Address: from, RequestID: RequestID(ctx), At: h.At}
	detail := h.Provider + ": " + strings.Join(h.Scopes, " ")
	if err := d.db.Audit(ctx, by.Event("vault.hand", h.AccountID, detail[:min(len(detail), mostDetail)])); err != nil {
		return err
	}
	d.noted.Add(key, struct{}{})
	return nil
}
