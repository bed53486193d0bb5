package issuer

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// assertionType is the only client_assertion_type there is, RFC 7523 §2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxBasic bounds an Authorization header: an id and a secret, percent-encoded and in base64.
const maxBasic = 4 << 10

// A proof is what a request shows to prove which client sends it.
type proof struct {
	method    string // one of authMethods, or "" if nothing was shown
	id        string // "" if only the assertion says it
	secret    string
	assertion string
	// raw is the other reading of a Basic header, see [basicProof]. Its method is empty if
	// there is none.
	rawID, rawSecret string
	// header says that the Authorization header was used.
	header bool
}

// readProof finds the one method by which the client authenticates. RFC 6749 §2.3: "The
// client MUST NOT use more than one authentication method in each request."
func readProof(r *http.Request, f form) (proof, *Error) {
	id, inBody, assertion := f.get("client_id"), f.get("client_secret"), f.get("client_assertion")
	headers := r.Header["Authorization"]
	var shown proof
	switch methods := len(headers) + count(inBody != "") + count(assertion != ""); {
	case methods > 1:
		return proof{}, refuse("invalid_request", "The client authenticates in more than one way. Use the one that it is registered for.")
	case len(headers) == 1:
		var ok bool
		if shown, ok = basicProof(headers[0]); !ok {
			e := errUnproven(true)
			e.Description = "The Authorization header is not of the scheme Basic with a client_id and a secret."
			return proof{}, e
		}
	case inBody != "":
		shown = proof{method: "client_secret_post", id: id, secret: inBody}
	case assertion != "":
		shown = proof{method: "private_key_jwt", id: id, assertion: assertion}
	case id != "":
		shown = proof{method: "none", id: id}
	}
	given := f.get("client_assertion_type")
	switch {
	case assertion != "" && given != assertionType:
		return proof{}, refuse("invalid_request", "client_assertion_type must be %s.", assertionType)
	case assertion == "" && given != "":
		return proof{}, refuse("invalid_request", "The parameter client_assertion is missing.")
	case shown.header && id != "" && id != shown.id && id != shown.rawID:
		return proof{}, refuse("invalid_request", "client_id and the Authorization header name two different clients.")
	}
	return shown, nil
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// basicProof reads an Authorization header of the scheme Basic.
//
// RFC 6749 §2.3.1 wants both halves encoded as in a form, and many libraries don't. If the two
// readings differ, the second is kept too.
func basicProof(header string) (proof, bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if len(header) > maxBasic || !strings.EqualFold(scheme, "Basic") {
		return proof{}, false
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return proof{}, false
	}
	both := string(decoded)
	id, secret, found := strings.Cut(both, ":")
	if !found || id == "" {
		return proof{}, false
	}
	shown := proof{method: "client_secret_basic", header: true, id: id, secret: secret, rawID: id, rawSecret: secret}
	if strings.ContainsAny(both, "%+") {
		plainID, err := url.QueryUnescape(id)
		plainSecret, err2 := url.QueryUnescape(secret)
		if err == nil && err2 == nil {
			shown.id, shown.secret = plainID, plainSecret
		}
	}
	if secret == "" {
		// Libraries send public clients this way. It proves as much as a client_id in the body.
		shown.method = "none"
	}
	return shown, true
}

// authenticate returns the client that sent a request, RFC 6749 §2.3. A client authenticates
// with the method that it is registered for, and with no other: whoever may choose chooses
// the weakest. The client is shared and must not be changed.
//
// An API key is a client too, whose client_id is the key's id and whose secret is the key.
//
// An unknown client, a disabled one, a wrong secret, an expired one and a wrong method get
// the same answer.
func (p *Provider) authenticate(r *http.Request, f form, now time.Time) (*Client, error) {
	shown, refusal := readProof(r, f)
	if refusal != nil {
		return nil, refusal
	}
	if shown.method == "" {
		e := errUnproven(true)
		e.Description = "The request does not say which client sends it."
		return nil, e
	}
	if shown.method == "private_key_jwt" {
		return p.verifyAssertion(r.Context(), shown, now)
	}
	if p.isKeyOf(shown.id, shown.secret) {
		return p.authenticateKey(r, shown, now)
	}
	client, err := p.prover(r.Context(), shown)
	if err != nil {
		if _, unproven := errors.AsType[*Error](err); unproven && maybeKey(shown) {
			return p.authenticateKey(r, shown, now) // a key that another system made has no form of its own
		}
		return nil, err
	}
	if !client.authenticatesBy(shown.method) {
		return nil, errUnproven(shown.header).because(errors.New("the client is registered for " + client.AuthMethod + ", not for " + shown.method))
	}
	if shown.method == "none" {
		return client, nil
	}
	ok, err := p.secretMatches(r.Context(), client, shown.secret, now)
	if err == nil && !ok && shown.header && shown.rawSecret != shown.secret {
		ok, err = p.secretMatches(r.Context(), client, shown.rawSecret, now)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errUnproven(shown.header).because(errors.New("the secret of " + client.ID + " is wrong or expired"))
	}
	return client, nil
}

// authenticatesBy says whether a client may authenticate with a method: the one that it is
// registered for. If nobody chose one, both ways of sending the secret will do; neither is
// weaker than the other.
func (c *Client) authenticatesBy(method string) bool {
	return c.AuthMethod == method || c.AnySecretMethod && (method == "client_secret_basic" || method == "client_secret_post")
}

// prover finds the client that a proof names.
func (p *Provider) prover(ctx context.Context, shown proof) (*Client, error) {
	client, err := p.clients.get(ctx, shown.id)
	if errors.Is(err, ErrNotFound) && shown.header && shown.rawID != shown.id {
		client, err = p.clients.get(ctx, shown.rawID)
	}
	if errors.Is(err, ErrNotFound) {
		// What a comparison costs. That there is no such client is no secret: the authorization
		// endpoint tells everybody.
		digestMatches("", shown.secret)
		return nil, errUnproven(shown.header).because(errors.New("there is no such client, or it is disabled"))
	}
	return client, err
}

// errUnproven is the one answer to everything that doesn't prove who the client is. RFC 6749
// §5.2: a client that tried the Authorization header is told so in WWW-Authenticate.
func errUnproven(header bool) *Error {
	e := refuse("invalid_client", "Client authentication failed. The client is unknown or disabled, its credentials are wrong or expired, or it is registered for another token_endpoint_auth_method.")
	e.Basic = header
	return e
}
