package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// A redemption is a code that a client wants to spend.
type redemption struct {
	client   *Client
	standing *Standing
	form     form
	now      time.Time
}

// codeChecks is everything that a good, unspent code must satisfy beyond being its client's,
// in order. Each fails with invalid_grant and changes nothing: whoever got it wrong can try
// again, and who doesn't know the verifier can't take the code away from its client.
var codeChecks = []struct {
	section string
	check   func(redemption) string // what is wrong, or ""
}{
	{"RFC 6749 §4.1.3", checkCodeRedirect},
	{"RFC 7636 §4.6", checkVerifier},
	{"RFC 6749 §4.1.2", func(x redemption) string {
		if !x.standing.CodeExpiresAt.After(x.now) {
			return "The code is expired."
		}
		return ""
	}},
	{"RFC 6749 §5.2", func(x redemption) string {
		if x.standing.against() != "" {
			return "The code was revoked, or the sign-in that it came from has ended."
		}
		return ""
	}},
}

// redeemCode exchanges an authorization code, RFC 6749 §4.1.3.
//
// The tokens are signed before the code is spent, so that a code is never lost to a failure
// of ours, and they are only given out if spending it succeeds, so that it never buys tokens
// twice.
func (p *Provider) redeemCode(ctx context.Context, q *tokenRequest) (tokens, error) {
	client, f, now := q.client, q.form, q.now
	code := f.get("code")
	if code == "" {
		return tokens{}, refuse("invalid_request", "The parameter code is missing.")
	}
	st, err := p.code(ctx, code, now)
	if err != nil {
		return tokens{}, err
	}
	switch {
	case st.ClientID != client.ID:
		return tokens{}, refuse("invalid_grant", "The code was issued to another client.")
	case !st.CodeSpentAt.IsZero():
		return tokens{}, p.codeReused(ctx, st.ID, now)
	}
	x := redemption{client: client, standing: &st, form: f, now: now}
	for _, c := range codeChecks {
		if wrong := c.check(x); wrong != "" {
			return tokens{}, refuse("invalid_grant", "%s", wrong).because(errors.New(c.section))
		}
	}
	audience, refusal := p.audienceOf(st.Audience, f)
	if refusal != nil {
		return tokens{}, refusal
	}
	got, access, err := p.mintAll(minting{client, &st.Authorization, st.Scopes, audience, now, 0}, &st.Person, st.Nonce)
	if err != nil {
		return tokens{}, err
	}
	bought := Redemption{ID: st.ID, CodeDigest: st.CodeDigest, Now: now, ForgetAt: now.Add(p.AccessTTL + forgetLater), Access: access}
	if client.allows("refresh_token") {
		st.Seed = secret.Bytes(seedLen)
		got.refresh = p.refreshToken(&st.Authorization, 1).Reveal()
		bought.Seed, bought.IdleUntil, bought.ExpiresAt = st.Seed, now.Add(p.RefreshIdle), now.Add(p.RefreshMax)
		bought.ForgetAt = bought.ExpiresAt.Add(p.AccessTTL + forgetLater)
	}
	err = p.Store.RedeemCode(ctx, bought)
	if errors.Is(err, ErrSpent) {
		// Somebody was faster, or the sign-in ended since we looked.
		return tokens{}, p.codeReused(ctx, st.ID, now)
	}
	if err != nil {
		return tokens{}, err
	}
	return got, nil
}

// forgetLater is how long a row stays after everything that came from it is dead: the clocks
// of several copies differ.
const forgetLater = 5 * time.Minute

// code returns how the authorization of a code stands. Junk is refused without a look into the
// database, and of a code whose secret is wrong nothing is told.
func (p *Provider) code(ctx context.Context, code string, now time.Time) (Standing, error) {
	id, ok := p.Mint.Parse(secret.KindCode, code)
	if !ok {
		return Standing{}, errUnknownCode()
	}
	st, err := p.Store.Standing(ctx, id, "", now)
	if errors.Is(err, ErrNotFound) {
		return Standing{}, errUnknownCode()
	}
	if err != nil {
		return Standing{}, err
	}
	if !secret.Wrap(code).Digest().Matches(st.CodeDigest) {
		return Standing{}, errUnknownCode()
	}
	return st, nil
}

func errUnknownCode() *Error {
	return refuse("invalid_grant", "The code is not one that was issued here, or it is long expired.")
}

// codeReused revokes what the first use of a code bought. RFC 6749 §4.1.2: "If an
// authorization code is used more than once, the authorization server MUST deny the request
// and SHOULD revoke (when possible) all tokens previously issued based on that authorization
// code."
func (p *Provider) codeReused(ctx context.Context, id string, now time.Time) error {
	if err := p.Store.RevokeAuthorization(ctx, id, "code reused", now); err != nil {
		return err
	}
	return refuse("invalid_grant", "The code was used before.").because(errors.New("authorization " + id + " is revoked"))
}

// checkCodeRedirect compares with the authorization request: "if the "redirect_uri" parameter
// was included in the authorization request [...] their values MUST be identical".
func checkCodeRedirect(x redemption) string {
	uri := x.form.get("redirect_uri")
	switch {
	case x.standing.RedirectURI == "":
		if uri != "" && !slices.Contains(x.client.RedirectURIs, uri) {
			return "redirect_uri is not the one to which the code was sent."
		}
	case uri == "":
		return "The parameter redirect_uri is missing: it was in the authorization request."
	case uri != x.standing.RedirectURI:
		return "redirect_uri is not the one of the authorization request."
	}
	return ""
}

// checkVerifier is PKCE. RFC 9700 §2.1.1: the server "MUST ensure that a token request
// containing a code_verifier parameter is accepted only if a code_challenge parameter was
// present in the authorization request", and a challenge is never left without its verifier.
func checkVerifier(x redemption) string {
	verifier := x.form.get("code_verifier")
	switch challenge := x.standing.Challenge; {
	case challenge == "" && verifier != "":
		return "There is a code_verifier, but the authorization request had no code_challenge."
	case challenge == "":
		return ""
	case verifier == "":
		return "The parameter code_verifier is missing."
	case !validVerifier(verifier) || !matchesChallenge(verifier, challenge):
		return "code_verifier does not match the code_challenge."
	}
	return ""
}

// validVerifier holds a verifier to RFC 7636 §4.1: 43 to 128 unreserved characters.
func validVerifier(s string) bool {
	return 43 <= len(s) && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~", r))
	}) < 0
}

// matchesChallenge compares in constant time. RFC 7636 §4.6, S256
func matchesChallenge(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	is := base64.RawURLEncoding.AppendEncode(nil, sum[:])
	return subtle.ConstantTimeCompare(is, []byte(challenge)) == 1
}
