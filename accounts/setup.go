package accounts

import (
	"context"
	"errors"
	"time"

	"mintmark/internal/secret"
)

var (
	// ErrSetupCode means that a set-up code is unknown, used or too old.
	ErrSetupCode = errors.New("accounts: the set-up code is unknown, used or too old")
	// ErrSetupDone means that there is an administrator already.
	ErrSetupDone = errors.New("accounts: there is an administrator already")
)

// setupLife is how long a set-up code works. It goes by hand from a terminal to a browser.
const setupLife = 30 * time.Minute

// NeedsSetup says whether there is no administrator yet.
func (d *Directory) NeedsSetup(ctx context.Context) (bool, error) {
	has, err := d.Store.HasAdmin(ctx)
	return !has, err
}

// NewSetupCode returns a code with which one person can make themselves the first
// administrator, once, within 30 minutes. Only somebody with access to the machine gets
// one, so that a new server does not belong to whoever comes first. It replaces the code
// before it. It returns [ErrSetupDone] if there is an administrator.
func (d *Directory) NewSetupCode(ctx context.Context, now time.Time) (secret.Token, error) {
	needed, err := d.NeedsSetup(ctx)
	if err != nil {
		return secret.Token{}, err
	}
	if !needed {
		return secret.Token{}, ErrSetupDone
	}
	code := d.Mint.Issue(secret.KindSetup, secret.NewShortID())
	digest := code.Digest()
	if err := d.Store.PutSetupCode(ctx, digest[:], now.Add(setupLife)); err != nil {
		return secret.Token{}, err
	}
	return code, nil
}

// CompleteSetup spends a set-up code and adds the first administrator, both or neither:
// somebody whose password is refused keeps the code. It returns [ErrSetupCode],
// [ErrSetupDone], [ErrExists] if the address is taken, an [*Invalid] or [secret.ErrBusy].
func (d *Directory) CompleteSetup(ctx context.Context, code string, n New, now time.Time) (Account, error) {
	// Before the hash: what we never made costs nothing.
	if _, ok := d.Mint.Parse(secret.KindSetup, code); !ok {
		return Account{}, ErrSetupCode
	}
	if n.Password == "" {
		return Account{}, &Invalid{"password", "is missing"}
	}
	n.Role, n.At = RoleAdmin, now
	a, err := d.account(ctx, n)
	if err != nil {
		return Account{}, err
	}
	digest := secret.Wrap(code).Digest()
	err = d.Store.SetupWithCode(ctx, digest[:], a, now)
	switch {
	case errors.Is(err, ErrNotFound):
		return Account{}, ErrSetupCode
	case errors.Is(err, ErrExists):
		if needed, err := d.NeedsSetup(ctx); err == nil && !needed {
			return Account{}, ErrSetupDone
		}
		return Account{}, ErrExists
	case err != nil:
		return Account{}, err
	}
	return a, nil
}
