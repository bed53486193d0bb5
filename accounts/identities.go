package accounts

import (
	"context"
	"time"
)

// A Link says that an identity at a provider is a person of ours. The provider and its name for
// the person make the identity; an address never does.
type Link struct {
	ProviderID string
	Subject    string
	AccountID  string
	Email      string // as the provider named it last: for people to recognise the link by
	// Role is what the account has from the provider's rules, and loses when they stop giving it.
	Role       string
	LinkedAt   time.Time
	LastUsedAt time.Time
}

// maxLinks is how many identities an account can have.
const maxLinks = 20

// Links is the part of the [Store] that remembers identities.
type Links interface {
	// Linked returns whose an identity is and notes that it was used, with the address that the
	// provider names now, or returns [ErrNotFound] if it is linked to nobody, or [ErrProviderOff] if
	// it is, and the provider is disabled or gone.
	Linked(ctx context.Context, providerID, subject, email string, now time.Time) (Account, Link, error)
	// AddLinked remembers a new account together with its first link, both or neither. It returns
	// [ErrProviderOff] if the provider is disabled or gone, [ErrExists] if the address is taken, and
	// [ErrLinked] if the identity is. Of any number of callers with the same identity one wins.
	AddLinked(ctx context.Context, a Account, l Link) error
	// AddLink links an identity to an enabled account with fewer than most links. If untouched, only
	// while nobody can have signed in to it: it has no password and no link. It returns
	// [ErrProviderOff] if the provider is disabled or gone, [ErrLinked] if the identity is linked
	// already, [ErrTooManyLinks] if the account has most, and [ErrNotFound] if it is disabled or gone,
	// or not untouched and should be.
	AddLink(ctx context.Context, l Link, most int, untouched bool) error
	// Links lists the links of an account, the oldest first.
	Links(ctx context.Context, accountID string) ([]Link, error)
	// RemoveLink takes a link away, with the role that the provider's rules gave by it (unless the account
	// is the last administrator) and the tokens that were kept, which are to be revoked; and ends the
	// sessions that began by it as "revoked" does. Or it returns [ErrNotFound]; or [ErrLastWay] if the account would
	// have neither a password nor a link to an enabled provider. Of any number of callers who
	// between them would take every way, one is refused.
	RemoveLink(ctx context.Context, accountID, providerID, subject string, now time.Time) error
	// SetLinkRole makes role what the account has from the provider's rules, and with it the role of
	// the account, if was is still what it has from them. The last administrator keeps theirs:
	// [ErrLastAdmin]. It returns [ErrChanged] if the link or the account is not as it was.
	SetLinkRole(ctx context.Context, l Link, role string, now time.Time) error
}

// Identities returns what is linked to an account, the oldest first.
func (d *Directory) Identities(ctx context.Context, accountID string) ([]Link, error) {
	return d.Store.Links(ctx, accountID)
}

// Unlink takes a link away and ends what was begun by it, or returns [ErrNotFound], or [ErrLastWay] if
// the account has neither a password nor another identity of an enabled provider.
func (d *Directory) Unlink(ctx context.Context, accountID, providerID, subject string, now time.Time) error {
	return d.Store.RemoveLink(ctx, accountID, providerID, subject, at(now))
}
