package issuer

import "time"

// An Authorization is what a person allowed an application, once: the root of
// everything that the application can hold for that person, and of all revocation.
type Authorization struct {
	ID        string // 22 base62 characters, in order of time; was the id of the request
	ClientID  string
	AccountID string
	SessionID string // the sid claim
	Scopes    []string
	Audience  []string // aud of its access tokens; empty: the issuer
	Claims    string   // the claims parameter as one JSON object, or empty. OpenID Connect Core §5.5
	AuthTime  time.Time
	ACR       string
	AMR       []string
	IdP       string // the upstream provider that said who it is, or empty
	Limits    string // what that provider says they may do, as one JSON object, or empty
	Nonce     string
	// Offline says that offline_access was granted: it outlives the session's sign-out,
	// OpenID Connect Core §11.
	Offline   bool
	CreatedAt time.Time

	RedirectURI   string    // empty if the request left the one registered out
	Challenge     string    // PKCE S256, or empty if the client is exempt and sent none
	CodeDigest    []byte    // SHA-256 of the code
	CodeExpiresAt time.Time // 60 seconds after it was made
	CodeSpentAt   time.Time // zero while it is not spent

	// Seed and the generation make the refresh token: see refresh.go. Seed is empty if none
	// was issued.
	Seed       []byte
	Generation int64     // of the newest refresh token, from 1
	RotatedAt  time.Time // when that generation was made
	IdleUntil  time.Time // a refresh token not used until then is dead
	ExpiresAt  time.Time // absolute end; also the end of a consentless row's use

	RevokedAt    time.Time // zero while it is good
	RevokeReason string    // "code reused", "refresh token reused", "revoked by the client", …
	ForgetAt     time.Time // the row may be deleted from then on: nothing derived from it is alive
}

// A Standing is an authorization together with everything that could stand against it,
// read at one moment in one round trip.
type Standing struct {
	Authorization
	Person Person // zero ID if the account is gone

	ClientGone   bool // deleted or disabled
	PersonGone   bool // deleted or disabled
	SessionEnded bool // ended in any way, past its absolute end, or forgotten
	TokenRevoked bool // the jti that was asked about is on the deny list
}

// A Person is what the issuer may say about an account.
type Person struct {
	ID            string
	Email         string
	EmailVerified bool
	Name          string
	Claims        map[string]any // the other standard claims, OpenID Connect Core §5.1
	UpdatedAt     time.Time
}

// A Consent is what a person allowed a client, remembered so that it is not asked
// again. Revoking it revokes every Authorization of that person for that client.
type Consent struct {
	AccountID string
	ClientID  string
	Scopes    []string
	GrantedAt time.Time
	UpdatedAt time.Time
}

// An AccessToken is an opaque access token as the database remembers it.
type AccessToken struct {
	ID              string // 22 base62 characters, inside the token; also its jti
	Digest          []byte
	AuthorizationID string // empty for client_credentials
	ClientID        string
	Scopes          []string
	Audience        []string
	IssuedAt        time.Time
	ExpiresAt       time.Time
}
