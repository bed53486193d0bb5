package upstream

import (
	"context"
	"errors"
	"time"
)

// What a [Store] answers, and whoever looks after its providers.
var (
	// ErrExists: there is a provider with this name or id.
	ErrExists = errors.New("upstream: there is a provider with this name")
	// ErrChanged: somebody else changed or removed the provider meanwhile.
	ErrChanged = errors.New("upstream: the provider was changed meanwhile")
	// ErrNotFound: there is no such provider.
	ErrNotFound = errors.New("upstream: there is no such provider")
	// ErrSpent: the state was used before.
	ErrSpent = errors.New("upstream: the state was used before")
)

// A Store remembers providers and which states were used.
//
// Every method is one transaction: it happens completely or not at all, and once, whatever else
// is happening at the same time and in however many copies of the server.
type Store interface {
	// Providers returns all, the disabled ones too, by name. There are at most a few hundred.
	Providers(ctx context.Context) ([]Provider, error)
	// SpendState remembers until a time that a state was used. Of any number of calls with the same
	// id, one returns nil, and the others [ErrSpent].
	SpendState(ctx context.Context, id string, until time.Time) error
}
