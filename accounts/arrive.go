package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mintmark/internal/secret"
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
	// ErrLinked means that the identity is linked to another account.
	ErrLinked = errors.New("accounts: the identity is linked to another account")
	// ErrProviderOff means that the provider is disabled or gone.
	ErrProviderOff = errors.New("accounts: the provider is disabled or gone")
	// ErrTooManyLinks means that the account has as many identities as one may have.
	ErrTooManyLinks = errors.New("accounts: the account has too many identities")
	// ErrTwoReadings means that the provider has verified an address that has no canonical form, such as
	// one that looks like another.
	ErrTwoReadings = errors.New("accounts: the address can be read in more than one way")
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

// An arrival is somebody whose identity is linked to nobody yet, and what decides about them.
type arrival struct {
	proved  bool    // the provider says that the address is theirs
	vouched bool    // and it is one to be believed about this address: it may open an account that is there
	owner   Account // who has the address; no ID: nobody

	untouched bool // nobody can have signed in to the owner's account
	linkBy    string
	signUp    string
	inDomain  bool // the address is of a domain that the provider makes accounts for
}

// A verdict is what becomes of an arrival.
type verdict int

const (
	makeNew  verdict = iota // an account of their own
	takeOver                // the account that was made for them and waits
	prove                   // the account that is theirs if they know its password
	taken
	notInvited
	wrongDomain
)

// policy decides about arrivals: the first row that holds. An address that the provider has not
// proved is not looked at in any of them: whoever says it may be anybody.
//
// Nobody is linked to an account because of an address alone, with one exception: an account that
// an operator made for that address, to which nobody can have signed in yet, waits for just this.
var policy = []struct {
	when func(x arrival) bool
	is   verdict
}{
	{func(x arrival) bool { return x.owner.ID != "" && !x.owner.DisabledAt.IsZero() }, taken},
	{func(x arrival) bool { return x.owner.ID != "" && x.vouched && x.untouched }, takeOver},
	// Verified on both sides, by a provider that is to be believed: an account whose address was
	// never verified may have been made by somebody else in advance.
	{func(x arrival) bool {
		return x.owner.ID != "" && x.vouched && x.linkBy == upstream.LinkVerifiedEmail && x.owner.EmailVerified && x.owner.PasswordHash != ""
	}, prove},
	{func(x arrival) bool { return x.owner.ID != "" }, taken},
	{func(x arrival) bool { return x.signUp == upstream.SignUpInvite }, notInvited},
	{func(x arrival) bool { return x.signUp == upstream.SignUpDomains && !x.inDomain }, wrongDomain},
	{func(x arrival) bool { return true }, makeNew},
}

// refusals are the errors of the verdicts that are one.
var refusals = map[verdict]error{taken: ErrTaken, notInvited: ErrNotInvited, wrongDomain: ErrWrongDomain}

// Arrive returns whose account an identity is: the linked one, or one by the policy. It returns a
// [*MustProve], or one of the errors above: [ErrProviderOff] if the provider was disabled or removed
// meanwhile, whoever it is.
//
// What somebody else does at the same moment can make a verdict wrong before it is carried out.
// Then the store refuses, and it is decided anew.
func (d *Directory) Arrive(ctx context.Context, p upstream.Provider, i upstream.Identity, now time.Time) (a Account, created bool, err error) {
	now = at(now)
	for round := range 4 {
		a, l, err := d.Store.Linked(ctx, i.ProviderID, i.Subject, i.Email, now)
		switch {
		case err == nil && !a.DisabledAt.IsZero():
			return Account{}, false, ErrDisabled
		case err == nil:
			a, err = d.takeRole(ctx, a, l, p, i, now)
			if errors.Is(err, ErrChanged) { // by another window of the same person
				continue
			}
			return a, false, err
		case !errors.Is(err, ErrNotFound):
			return Account{}, false, err
		}
		a, created, err = d.receive(ctx, p, i, now)
		switch {
		case errors.Is(err, ErrLinked), errors.Is(err, ErrExists), errors.Is(err, ErrChanged):
		case errors.Is(err, ErrTaken) && round == 0: // perhaps by another callback of the same person
		default:
			return a, created, err
		}
	}
	return Account{}, false, ErrChanged
}

// receive decides about somebody whose identity is linked to nobody.
func (d *Directory) receive(ctx context.Context, p upstream.Provider, i upstream.Identity, now time.Time) (a Account, created bool, err error) {
	x, err := d.examine(ctx, p, i)
	if err != nil {
		return Account{}, false, err
	}
	l := Link{ProviderID: i.ProviderID, Subject: i.Subject, AccountID: x.owner.ID, Email: i.Email, LinkedAt: now, LastUsedAt: now}
	at := slices.IndexFunc(policy, func(row struct {
		when func(x arrival) bool
		is   verdict
	}) bool {
		return row.when(x)
	})
	switch is := policy[at].is; is {
	case makeNew:
		a = d.newcomer(p, i, x, now)
		l.AccountID, l.Role = a.ID, a.Role
		if err := d.Store.AddLinked(ctx, a, l); err != nil {
			return Account{}, false, err
		}
		return a, true, nil
	case takeOver:
		if err := d.Store.AddLink(ctx, l, maxLinks, true); err != nil {
			return Account{}, false, err
		}
		a, err := d.takeRole(ctx, d.complete(ctx, x.owner, i, now), l, p, i, now)
		return a, false, err
	case prove:
		return Account{}, false, &MustProve{x.owner.ID}
	default:
		return Account{}, false, refusals[is]
	}
}

// examine finds out what decides about an arrival.
func (d *Directory) examine(ctx context.Context, p upstream.Provider, i upstream.Identity) (arrival, error) {
	x := arrival{linkBy: p.LinkBy, signUp: p.SignUp}
	key, problem := canonicalEmail(i.Email)
	switch {
	case i.Email == "" || !i.EmailVerified:
		return x, nil
	case problem != "":
		return x, fmt.Errorf("%w: it %s", ErrTwoReadings, problem)
	}
	_, domain, _ := strings.Cut(key, "@")
	x.proved = true
	x.vouched = i.EmailHosted || slices.Contains(p.Authoritative, "*") || slices.ContainsFunc(p.Authoritative, same(domain))
	x.inDomain = slices.ContainsFunc(p.Domains, same(domain))
	owner, err := d.Store.AccountByEmail(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return x, nil
	}
	if err != nil {
		return x, err
	}
	x.owner = owner
	if owner.PasswordHash == "" {
		links, err := d.Store.Links(ctx, owner.ID)
		if err != nil {
			return x, err
		}
		x.untouched = len(links) == 0
	}
	return x, nil
}

// same compares domains as CanonicalEmail writes them.
func same(domain string) func(string) bool {
	return func(other string) bool {
		ascii, err := domains.ToASCII(other)
		return err == nil && ascii == domain
	}
}

// newcomer is the account of somebody who has none. Without an address that the provider has proved
// it has none either: nobody could tell it from one that is somebody else's.
func (d *Directory) newcomer(p upstream.Provider, i upstream.Identity, x arrival, now time.Time) Account {
	a := Account{ID: secret.NewID("usr"), CreatedAt: now, UpdatedAt: now, Role: roleFor(p, i)}
	a.EmailKey = a.ID // unique, and no address: there is no @ in it
	if x.proved {
		// What applications are told is verified opens things there: the word of a provider that is
		// not to be believed about this address is not enough for that.
		a.Email, a.EmailVerified = strings.Trim(i.Email, " "), x.vouched || p.ProvesMail()
		a.EmailKey, _ = canonicalEmail(i.Email)
	}
	if i.Name != "" && text(i.Name, 200, false) == "" {
		a.Name = i.Name
	}
	a.Claims = usable(i.Claims)
	return a
}

// complete fills in what nobody has said yet of an account that was made for somebody, now that they
// are here, and their address is verified. What is there stays. They have arrived, whether this
// can be remembered or not.
func (d *Directory) complete(ctx context.Context, a Account, i upstream.Identity, now time.Time) Account {
	c := Change{Verified: new(true), At: now, Was: a.UpdatedAt}
	if a.Name == "" && i.Name != "" && text(i.Name, 200, false) == "" {
		c.Name = &i.Name
	}
	theirs, err := object(usable(i.Claims))
	ours, unread := object(a.Claims)
	if err == nil && (unread == nil || len(a.Claims) == 0) {
		maps.DeleteFunc(theirs, func(name string, _ json.RawMessage) bool { return ours[name] != nil })
		c.Claims, err = json.Marshal(theirs)
	}
	var full Account
	if err == nil {
		full, err = d.Set(ctx, a.ID, c)
	}
	if err != nil {
		d.log().WarnContext(ctx, "an account that was waited for is not completed", "account", a.ID, "err", err)
		return a
	}
	return full
}

// usable returns those of the claims that a person of ours can have. What a provider says in
// another form than the standard's is left out: it is not for the person to mend.
func usable(raw json.RawMessage) json.RawMessage {
	set, err := object(raw)
	if len(raw) == 0 || err != nil {
		return json.RawMessage(`{}`)
	}
	for name, value := range set {
		switch {
		case name == "email", name == "email_verified", name == "name", isNull(value), checkMember(claims, name, value) != nil:
			delete(set, name)
		}
	}
	out, err := mergeClaims(nil, set)
	if err != nil { // they contradict each other, or are too long
		return json.RawMessage(`{}`)
	}
	return out
}

// roleFor is the role that a provider's rules give, if it has any.
func roleFor(p upstream.Provider, i upstream.Identity) string {
	if len(p.Roles) > 0 && slices.Contains(i.Roles, RoleAdmin) {
		return RoleAdmin
	}
	return ""
}

// takeRole gives the account the role that the provider's rules give now, or takes back what they
// gave before. A role that somebody here has given is never touched. The last administrator stays
// one, whatever the rules say.
func (d *Directory) takeRole(ctx context.Context, a Account, l Link, p upstream.Provider, i upstream.Identity, now time.Time) (Account, error) {
	role := roleFor(p, i)
	if role == l.Role || l.Role == "" && a.Role == role {
		return a, nil
	}
	switch err := d.Store.SetLinkRole(ctx, l, role, now); {
	case err == nil:
		return d.Store.Account(ctx, a.ID)
	case errors.Is(err, ErrLastAdmin):
		d.log().WarnContext(ctx, "the last administrator stays one, against the rules of the provider", "account", a.ID, "provider", p.Name)
		return a, nil
	default:
		return Account{}, err
	}
}

// Link links an identity to an account whose person is known to be there. It returns [ErrLinked]
// if it is another account's, [ErrProviderOff] if the provider is disabled or gone,
// [ErrTooManyLinks] if the account has 20 identities, or [ErrNotFound] if it is disabled or gone. What is
// linked to this account already stays so.
func (d *Directory) Link(ctx context.Context, accountID string, p upstream.Provider, i upstream.Identity, now time.Time) error {
	l := Link{ProviderID: i.ProviderID, Subject: i.Subject, AccountID: accountID, Email: i.Email, LinkedAt: at(now), LastUsedAt: at(now)}
	err := d.Store.AddLink(ctx, l, maxLinks, false)
	if !errors.Is(err, ErrLinked) {
		return err
	}
	a, _, found := d.Store.Linked(ctx, i.ProviderID, i.Subject, i.Email, at(now))
	if found == nil && a.ID == accountID {
		return nil
	}
	return err
}
