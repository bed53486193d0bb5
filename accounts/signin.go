package accounts

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"mintmark/internal/secret"
)

// ErrWrong means that an address and a password don't go together. It is the same for an
// address that nobody has, a wrong password, no password and a disabled account.
var ErrWrong = errors.New("accounts: the e-mail address or the password is wrong")

// A TooMany means that too many wrong passwords came in too short a time, for one account
// or from one address. It is the same whether there is such an account.
type TooMany struct {
	RetryAfter time.Duration // at least a second
}

// Error says what happened, and not to which account.
func (*TooMany) Error() string { return "accounts: too many wrong passwords" }

// limits is how many wrong passwords are checked, before the next is refused unread,
// whatever it is. They are counted in order, and one that is refused further down is not
// held against those above it: somebody who goes on hitting a closed account does not
// close the address of the whole office, and an address that is closed can't be used to
// close accounts.
//
// A stranger can close an account with ten guesses. It opens by itself when the window
// is over, and whoever is signed in stays signed in.
var limits = []struct {
	per    string
	of     func(a attempt) string
	most   int64
	window time.Duration
}{
	{"address", attempt.network, 100, 15 * time.Minute},
	{"account", attempt.account, 10, 15 * time.Minute},
}

// An attempt is one password, as it came in.
type attempt struct {
	email   string // what was typed
	key     string // its canonical form; empty if it has none
	address string
}

// account is whose password it is meant to be. What is no address is counted as it was
// typed: it gets the same answers as one.
func (a attempt) account() string {
	if a.key == "" {
		return "?" + a.email
	}
	return a.key
}

// network is where the attempt comes from.
func (a attempt) network() string { return Network(a.address) }

// Network is what limits count by that are for where somebody is: an IPv4 address, or the /64 that
// an IPv6 host has to itself. What can't be read is one network.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		both, err := netip.ParseAddrPort(address)
		if err != nil {
			return "unknown"
		}
		ip = both.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// SignIn returns the person who has an e-mail address, if the password is theirs. Otherwise
// it returns [ErrWrong], a [*TooMany], or [secret.ErrBusy]. address is where they are.
//
// An attempt is counted before its password is looked at, and taken back if the password
// was right: of any number of guesses that race, no more than the limit are checked. It is
// counted after it got its turn at hashing, so that the people who wait for theirs are not
// counted as guesses. Every attempt that is checked costs one hash, whoever it is about.
func (d *Directory) SignIn(ctx context.Context, email, password, address string, now time.Time) (Account, error) {
	key, _ := canonicalEmail(email)
	turn, err := d.Hasher.Turn(ctx)
	if err != nil {
		return Account{}, err
	}
	defer turn.Over()
	counted, err := d.count(ctx, attempt{email, key, address}, now)
	if err != nil {
		return Account{}, err
	}
	a, err := d.check(ctx, turn, key, password, now)
	if err != nil {
		return Account{}, err
	}
	if err := d.uncount(ctx, counted); err != nil {
		// They are who they say; the counter forgets by itself.
		d.log().WarnContext(ctx, "an attempt stays counted", "account", a.ID, "err", err)
	}
	return a, nil
}

// check compares the password, in the time of one hash.
func (d *Directory) check(ctx context.Context, turn *secret.Turn, key, password string, now time.Time) (Account, error) {
	a, err := Account{}, ErrNotFound
	if key != "" {
		a, err = d.Store.AccountByEmail(ctx, key)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Account{}, err
	}
	if err != nil || a.PasswordHash == "" {
		turn.Burn(password)
		return Account{}, ErrWrong
	}
	ok, rehash, err := turn.Verify(a.PasswordHash, password)
	switch {
	case err != nil:
		return Account{}, err
	case !ok || !a.DisabledAt.IsZero():
		return Account{}, ErrWrong
	}
	if rehash {
		return d.rehash(ctx, turn, a, password, now)
	}
	return a, nil
}

// rehash replaces an imported or outdated hash, now that the password is known, and returns
// the account as it is remembered then. It is a favour to the future: a store that fails does
// not cost the person the sign-in. But if somebody replaced the hash in the meantime, it stays,
// and so the password has to be right for that one. It is if it was replaced by another sign-in.
func (d *Directory) rehash(ctx context.Context, turn *secret.Turn, a Account, password string, now time.Time) (Account, error) {
	hash := turn.Hash(password)
	err := d.Store.SetPassword(ctx, a.ID, a.PasswordHash, hash, false, now)
	switch {
	case err == nil:
		a.PasswordHash = hash
		return a, nil
	case !errors.Is(err, ErrNotFound):
		d.log().WarnContext(ctx, "a password keeps its old hash", "account", a.ID, "err", err)
		return a, nil
	}
	a, err = d.Store.Account(ctx, a.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return Account{}, ErrWrong
	case err != nil:
		return Account{}, err
	case a.PasswordHash == "" || !a.DisabledAt.IsZero():
		return Account{}, ErrWrong
	}
	ok, _, err := turn.Verify(a.PasswordHash, password)
	switch {
	case err != nil:
		return Account{}, err
	case !ok:
		return Account{}, ErrWrong
	}
	return a, nil
}

// count counts an attempt under every limit and returns what to take back. Over a limit it
// takes back what it counted before and returns a [*TooMany].
func (d *Directory) count(ctx context.Context, a attempt, now time.Time) (counted []string, err error) {
	for _, limit := range limits {
		// A pseudonym: the table of counters is no list of who tried to sign in.
		key := limit.per + ":" + d.Mint.Pseudonym("limit "+limit.per, limit.of(a))
		n, resets, err := d.Store.Count(ctx, key, limit.window, now)
		if err != nil {
			return nil, err
		}
		if n > limit.most {
			if err := d.uncount(ctx, counted); err != nil {
				return nil, err
			}
			return nil, &TooMany{RetryAfter: max(resets.Sub(now), time.Second)}
		}
		counted = append(counted, key)
	}
	return counted, nil
}

func (d *Directory) uncount(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := d.Store.Uncount(ctx, key); err != nil {
			return err
		}
	}
	return nil
}
