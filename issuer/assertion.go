package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // case-sensitive, and refuses a member that comes twice
)

const (
	maxAssertion     = 8 << 10
	maxAssertionID   = 256
	maxAssertionLife = 10 * time.Minute
	// skew is how far the clock of a client may be from ours.
	skew = time.Minute
)

// assertionTypes are the typ headers that an assertion may have. None is the rule, RFC 7523;
// rfc7523bis has the last. What we sign ourselves has others, RFC 8725 §3.11.
var assertionTypes = []string{"", "jwt", "client-authentication+jwt"}

// assertionClaims is what an assertion says, RFC 7523 §3.
type assertionClaims struct {
	Issuer    string    `json:"iss"`
	Subject   string    `json:"sub"`
	Audience  oneOrMany `json:"aud"`
	ID        string    `json:"jti"`
	Expires   *float64  `json:"exp"`
	NotBefore *float64  `json:"nbf"`
	IssuedAt  *float64  `json:"iat"`
}

// verifyAssertion returns the client that signed an assertion, private_key_jwt of OpenID
// Connect Core §9.
//
// Until the signature is verified nothing is believed and nothing is remembered: the text
// only says whose keys to try. What is wrong after that is told exactly, because the client
// itself wrote it.
func (p *Provider) verifyAssertion(ctx context.Context, shown proof, now time.Time) (*Client, error) {
	signed, says, err := parseAssertion(shown.assertion)
	if err != nil {
		return nil, errUnproven(false).because(err)
	}
	// RFC 7523 §3, 2B: "the subject MUST be the client_id of the OAuth client". RFC 7521 §4.2: the
	// parameter client_id is optional, and must be the same.
	if shown.id == "" {
		shown.id = says.Subject
	}
	if says.Issuer != shown.id || says.Subject != shown.id {
		return nil, errUnproven(false).because(errors.New("iss and sub are not the client_id"))
	}
	client, err := p.prover(ctx, shown)
	if err != nil {
		return nil, err
	}
	alg := signed.Signatures[0].Protected.Algorithm
	switch {
	case client.AuthMethod != "private_key_jwt":
		return nil, errUnproven(false).because(errors.New("the client is registered for " + client.AuthMethod))
	case client.AuthSigningAlg != "" && client.AuthSigningAlg != alg:
		return nil, errUnproven(false).because(errors.New("the client is registered for " + client.AuthSigningAlg + ", not for " + alg))
	}
	if err := p.keySets.verify(ctx, client, signed, now); err != nil {
		return nil, errUnproven(false).because(err)
	}
	until, err := says.check([]string{p.Issuer, p.Issuer + PathToken}, now)
	if err != nil {
		return nil, refuse("invalid_client", "The client_assertion is refused: %s.", err)
	}
	err = p.Store.UseAssertion(ctx, client.ID, says.ID, until)
	if errors.Is(err, ErrReplayed) {
		// RFC 7523 §3, 7: "may ensure that JWTs are not replayed". Whoever could show it twice
		// could show it as somebody else.
		return nil, refuse("invalid_client", "The client_assertion is refused: its jti was used before.")
	}
	if err != nil {
		return nil, err
	}
	return client, nil
}

// parseAssertion reads a signed text without believing it.
func parseAssertion(text string) (*jose.JSONWebSignature, assertionClaims, error) {
	var says assertionClaims
	if len(text) > maxAssertion {
		return nil, says, errors.New("longer than 8 KiB")
	}
	algs := make([]jose.SignatureAlgorithm, 0, len(assertionAlgs))
	for _, a := range assertionAlgs {
		algs = append(algs, jose.SignatureAlgorithm(a))
	}
	signed, err := jose.ParseSignedCompact(text, algs)
	if err != nil {
		return nil, says, err
	}
	if typ, _ := signed.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string); !slices.Contains(assertionTypes, strings.ToLower(typ)) {
		return nil, says, fmt.Errorf("its typ is %.40q", typ)
	}
	err = json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &says)
	return signed, says, err
}

// check returns until when the jti must be remembered, or what is wrong, as a clause for the
// client's developer.
func (a *assertionClaims) check(audiences []string, now time.Time) (until time.Time, err error) {
	at := float64(now.UnixMicro()) / 1e6
	switch {
	case len(a.Audience) != 1 || !slices.Contains(audiences, a.Audience[0]):
		// RFC 7523 §3, 3. A second audience is somebody to whom this was sent as well, and who could
		// show it to us.
		return until, fmt.Errorf("its aud must be %s (or the URL of the token endpoint) alone", audiences[0])
	case a.Expires == nil:
		return until, errors.New("it has no exp")
	case *a.Expires <= at-skew.Seconds():
		return until, errors.New("it is expired")
	case *a.Expires > at+(maxAssertionLife+skew).Seconds():
		return until, errors.New("its exp is more than 10 minutes ahead")
	case a.NotBefore != nil && *a.NotBefore > at+skew.Seconds():
		return until, errors.New("its nbf is in the future")
	case a.IssuedAt != nil && *a.IssuedAt > at+skew.Seconds():
		return until, errors.New("its iat is in the future")
	case a.ID == "" || len(a.ID) > maxAssertionID:
		return until, fmt.Errorf("its jti must have 1 to %d bytes", maxAssertionID)
	}
	// As long as any copy of the server, whatever its clock, might still accept it.
	return time.UnixMicro(int64(*a.Expires * 1e6)).Add(2 * skew), nil
}
