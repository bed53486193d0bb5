package accounts

import (
	"encoding/json"
	"strings"
	"time"
)

// A New says whom to add. Only Email has no default.
type New struct {
	Email    string
	Name     string
	Verified bool   // the address is known to be theirs
	Role     string // "" or "admin"

	// Password is what the person will type, or PasswordHash is what another system
	// remembered of it (see [secret.ValidHash]). With neither there is no signing in.
	Password     string
	PasswordHash string

	// Claims is a JSON object of standard claims. Its email, email_verified and name
	// stand for the fields above, and must not contradict them.
	Claims json.RawMessage

	At time.Time // now, if it is zero
}

// A Change says what to make different. What is nil stays as it is.
type Change struct {
	Email    *string // a new address is unverified unless Verified or Claims say otherwise
	Name     *string
	Verified *bool
	Role     *string

	// Claims is merged into the claims there are: null removes one, an address is replaced
	// as a whole. Its email, email_verified and name stand for the fields above.
	Claims json.RawMessage

	// Was is the UpdatedAt of the account that the change is of, if it is of no other.
	Was time.Time

	At time.Time // now, if it is zero
}

// RoleAdmin is the role of those who look after this server.
const RoleAdmin = "admin"

// apply returns a with the change made, or an [*Invalid].
func (c Change) apply(a Account) (Account, error) {
	set, err := parseClaims(c.Claims)
	if err != nil {
		return Account{}, err
	}
	if err := c.take(set); err != nil {
		return Account{}, err
	}
	if c.Email != nil {
		key, err := CanonicalEmail(*c.Email)
		if err != nil {
			return Account{}, err
		}
		// Whoever proved the old address has not proved the new one.
		a.EmailVerified = a.EmailVerified && key == a.EmailKey
		a.Email, a.EmailKey = strings.Trim(*c.Email, " "), key
	}
	if c.Verified != nil {
		a.EmailVerified = *c.Verified
	}
	if c.Name != nil {
		if problem := text(*c.Name, 200, false); problem != "" && *c.Name != "" {
			return Account{}, &Invalid{"name", problem}
		}
		a.Name = *c.Name
	}
	if c.Role != nil {
		if *c.Role != "" && *c.Role != RoleAdmin {
			return Account{}, &Invalid{"role", `is neither empty nor "admin"`}
		}
		a.Role = *c.Role
	}
	a.Claims, err = mergeClaims(a.Claims, set)
	return a, err
}

// take moves the claims that are columns into their fields.
func (c *Change) take(set map[string]json.RawMessage) error {
	if raw, ok := set["email"]; ok {
		email := decoded[string](raw)
		if c.Email != nil && !sameEmail(*c.Email, email) {
			return &Invalid{"claims.email", "is another address than email"}
		}
		if c.Email == nil {
			c.Email = &email
		}
	}
	if raw, ok := set["email_verified"]; ok {
		verified := decoded[bool](raw)
		if c.Verified != nil && *c.Verified != verified {
			return &Invalid{"claims.email_verified", "contradicts the other statement of it"}
		}
		c.Verified = &verified
	}
	if raw, ok := set["name"]; ok {
		name := decoded[string](raw)
		if c.Name != nil && *c.Name != name {
			return &Invalid{"claims.name", "is another name than name"}
		}
		c.Name = &name
	}
	delete(set, "email")
	delete(set, "email_verified")
	delete(set, "name")
	return nil
}

func sameEmail(a, b string) bool {
	key, problem := canonicalEmail(a)
	other, _ := canonicalEmail(b)
	return problem == "" && key == other
}

// decoded returns a value that its check has accepted; null is the zero value.
func decoded[T any](raw json.RawMessage) (v T) {
	_ = json.Unmarshal(raw, &v) // checked before
	return v
}
