package upstream

import (
	"encoding/json"
	"time"

	"mintmark/internal/secret"
)

// An Identity is who a provider says has arrived. (ProviderID, Subject) is the person; nothing
// else of it is.
type Identity struct {
	ProviderID string
	Subject    string // 1 to 255 printable ASCII characters, the provider's own name for the person
	// Email is empty if the provider named none, or one that is not plainly an address.
	Email string
	// EmailVerified is true only if the provider said so in the way of its kind.
	EmailVerified bool
	// EmailHosted says that the provider runs the mail of the address's domain itself (Google's
	// hd claim, or gmail.com), so that it is authoritative for it.
	EmailHosted bool
	Name        string
	// Claims are standard claims of OpenID Connect Core §5.1 as the provider has them, mapped: a
	// JSON object of at most 16 KiB. email and email_verified are not among them.
	Claims json.RawMessage
	Groups []string // mapped, at most 1,000
	// Roles are those of administration that the provider's rules give: [Provider.Roles]. Each once.
	Roles []string
	// Limits are what a connector says that the person may do: at most 32 names with numbers
	// ([json.Number]), texts and booleans, in at most 2 KiB of JSON.
	Limits map[string]any
	AMR    []string // of the ID token, at most 10
	ACR    string
	// AuthTime is when the person proved to the provider who they are; zero if it did not say.
	AuthTime time.Time
	// ExpiresAt is when the provider's token ends; zero if it did not say.
	ExpiresAt time.Time
	// SessionID is the sid of the ID token, for logout; may be empty.
	SessionID string
	// Tokens are there if the provider's row says KeepTokens.
	Tokens *Tokens
}

// Tokens are what a provider gave us to act there for the person. They don't print.
type Tokens struct {
	Access    secret.Token
	Refresh   secret.Token // may be zero
	Type      string       // "Bearer"
	Scopes    []string     // that were granted
	ExpiresAt time.Time    // of Access; zero if not said
}
