package accounts

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"mintmark/internal/secret"
)

// A Directory is everybody who can sign in. It is safe for concurrent use.
type Directory struct {
	Store  Store
	Hasher *secret.Hasher
	Mint   *secret.Mint

	// Name is what this server is called on its pages. Nobody may have it for a password.
	Name string

	// Log is [slog.Default] if it is nil.
	Log *slog.Logger
}

// Add adds a person. It returns an [*Invalid], [ErrExists] if the address is taken, or
// [secret.ErrBusy].
func (d *Directory) Add(ctx context.Context, n New) (Account, error) {
	a, err := d.account(ctx, n)
	if err != nil {
		return Account{}, err
	}
	if err := d.Store.AddAccount(ctx, a); err != nil {
		return Account{}, err
	}
	return a, nil
}

// account makes what Add remembers.
func (d *Directory) account(ctx context.Context, n New) (Account, error) {
	now := at(n.At)
	a := Account{ID: secret.NewID("usr"), CreatedAt: now, UpdatedAt: now}
	c := Change{Role: &n.Role, Claims: n.Claims}
	// What is not said leaves room for the claims to say it.
	if n.Email != "" {
		c.Email = &n.Email
	}
	if n.Name != "" {
		c.Name = &n.Name
	}
	if n.Verified {
		c.Verified = &n.Verified
	}
	a, err := c.apply(a)
	switch {
	case err != nil:
		return Account{}, err
	case a.EmailKey == "":
		return Account{}, &Invalid{"email", "is missing"}
	case n.Password != "" && n.PasswordHash != "":
		return Account{}, &Invalid{"password_hash", "can't be given together with a password"}
	case n.PasswordHash != "":
		if !secret.ValidHash(n.PasswordHash) {
			return Account{}, &Invalid{"password_hash", "is neither argon2id (PHC string, at most 256 MiB, 10 passes, 8 lanes) nor bcrypt ($2a$, $2b$, $2y$, cost at most 14)"}
		}
		a.PasswordHash = n.PasswordHash
	case n.Password != "":
		if problem := weak(n.Password, a, d.Name); problem != "" {
			return Account{}, &Invalid{"password", problem}
		}
		a.PasswordHash, err = d.Hasher.Hash(ctx, n.Password)
	}
	return a, err
}

// Account returns a person by id, disabled or not, or [ErrNotFound].
func (d *Directory) Account(ctx context.Context, id string) (Account, error) {
	return d.Store.Account(ctx, id)
}

// ByEmail returns the person with an address, disabled or not, or [ErrNotFound].
func (d *Directory) ByEmail(ctx context.Context, email string) (Account, error) {
	key, problem := canonicalEmail(email)
	if problem != "" {
		return Account{}, ErrNotFound
	}
	return d.Store.AccountByEmail(ctx, key)
}

// List returns people by id. If email is not empty it returns the one with that address,
// or nobody. The limit of the page is held to 1 to 1000.
func (d *Directory) List(ctx context.Context, p Page, email string) ([]Account, error) {
	key := ""
	if email != "" {
		var problem string
		if key, problem = canonicalEmail(email); problem != "" {
			return nil, nil
		}
	}
	p.Limit = min(max(p.Limit, 1), 1000)
	return d.Store.Accounts(ctx, p, key)
}

// Set changes a person and returns who they are now. It returns an [*Invalid],
// [ErrNotFound], [ErrExists] if the new address is taken, [ErrLastAdmin], or [ErrChanged] if
// the change is of somebody who is not as they were ([Change].Was). Changes at the same moment
// are made one after the other, each to what the one before has left.
func (d *Directory) Set(ctx context.Context, id string, c Change) (Account, error) {
	for {
		a, err := d.Store.Account(ctx, id)
		if err != nil {
			return Account{}, err
		}
		was := a.UpdatedAt
		if !c.Was.IsZero() && !c.Was.Equal(was) {
			return Account{}, ErrChanged
		}
		if a, err = c.apply(a); err != nil {
			return Account{}, err
		}
		// Always later than before, so that no two states of a person are of the same time.
		if a.UpdatedAt = at(c.At); !a.UpdatedAt.After(was) {
			a.UpdatedAt = was.Add(time.Microsecond)
		}
		err = d.Store.SetAccount(ctx, a, was)
		switch {
		case err == nil:
			return a, nil
		case !errors.Is(err, ErrChanged):
			return Account{}, err
		}
		// Somebody else was faster, which is their change: this ends when they have made theirs.
	}
}

// SetPassword gives a person a new password. Every session of theirs ends, and everything
// that applications hold in their name is revoked: whoever knew the old password is out.
// It returns an [*Invalid], [ErrNotFound] or [secret.ErrBusy].
func (d *Directory) SetPassword(ctx context.Context, id, password string, now time.Time) error {
	a, err := d.Store.Account(ctx, id)
	if err != nil {
		return err
	}
	if problem := weak(password, a, d.Name); problem != "" {
		return &Invalid{"password", problem}
	}
	hash, err := d.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	return d.Store.SetPassword(ctx, id, "", hash, true, now)
}

// Disable locks a person out, at once and everywhere, or returns [ErrNotFound], or
// [ErrLastAdmin] if nobody else could look after this server then. Enable lets them sign in again; what was ended stays ended.
func (d *Directory) Disable(ctx context.Context, id string, now time.Time) error {
	return d.Store.DisableAccount(ctx, id, now)
}

// Enable undoes Disable, or returns [ErrNotFound].
func (d *Directory) Enable(ctx context.Context, id string, now time.Time) error {
	return d.Store.EnableAccount(ctx, id, now)
}

// Remove forgets a person and everything of theirs, or returns [ErrNotFound] or [ErrLastAdmin].
// The id is never given to somebody else.
func (d *Directory) Remove(ctx context.Context, id string, now time.Time) error {
	return d.Store.RemoveAccount(ctx, id, now)
}

func (d *Directory) log() *slog.Logger { return logger(d.Log) }

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

// at is when something happens: now, if it is not said, as exactly as it is remembered.
func at(t time.Time) time.Time {
	if t.IsZero() {
		t = time.Now()
	}
	return t.UTC().Truncate(time.Microsecond)
}
