package accounts

import (
	"context"
	"errors"
	"time"

	"mintmark/upstream"
)

// What somebody who arrives from a provider is refused for.
var (
	// ErrDisabled means that the account is disabled.
	ErrDisabled = errors.New("accounts: the account is disabled")
	// ErrTaken means that the address of who arrives is that of an account which they may not have,
	// or may not be told of.
	ErrTaken = errors.New("accounts: the address is taken")
	// ErrNotInvited means that the provider makes no new accounts.
	ErrNotInvited = errors.New("accounts: there is no account, and none is made")
	// ErrWrongDomain means that the provider makes accounts for other domains only.
	ErrWrongDomain = errors.New("accounts: the domain makes no accounts")
	// ErrNoEmail means that an account would need an address, and the provider named none.
	ErrNoEmail = errors.New("accounts: the provider named no address")
	// ErrLinked means that the identity is linked to another account.
	ErrLinked = errors.New("accounts: the identity is linked to another account")
	// ErrLastWay means that nobody could sign in to the account any more.
	ErrLastWay = errors.New("accounts: the last way to sign in must stay")
)

// MustProve means that the address of who arrives belongs to an account, which they may have once
// they prove that it is theirs.
type MustProve struct{ AccountID string }

// Error names the account: for the log.
func (e *MustProve) Error() string {
	return "accounts: who arrives has to prove that they are " + e.AccountID
}

// A Link says that an identity at a provider is a person of ours.
type Link struct {
	ProviderID string
	Subject    string
	AccountID  string
	Email      string // as the provider named it last
	LinkedAt   time.Time
	LastUsedAt time.Time
}

// Arrive returns whose account an identity is: the linked one, or a new one, by the policy of
// the provider. It returns a [*MustProve], or one of the errors above.
func (d *Directory) Arrive(ctx context.Context, p upstream.Provider, i upstream.Identity, now time.Time) (a Account, created bool, err error) {
	return Account{}, false, ErrNotInvited
}

// Link links an identity to an account whose person is known to be there, or returns [ErrLinked]
// or [ErrNotFound].
func (d *Directory) Link(ctx context.Context, accountID string, p upstream.Provider, i upstream.Identity, now time.Time) error {
	return ErrNotFound
}

// Identities returns what is linked to an account, the oldest first.
func (d *Directory) Identities(ctx context.Context, accountID string) ([]Link, error) {
	return nil, nil
}

// Unlink takes a link away, or returns [ErrNotFound], or [ErrLastWay] if the account has neither a
// password nor another identity of an enabled provider.
func (d *Directory) Unlink(ctx context.Context, accountID, providerID, subject string, now time.Time) error {
	return ErrNotFound
}
