package issuer

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"mintmark/internal/secret"
)

// maxRequest bounds an authorization request, once decoded.
const maxRequest = 8 << 10

// A request is an authorization request that passed its checks and waits for its person.
// It is kept by nobody: it travels through the browser, sealed. The short names keep the
// address short.
type request struct {
	ID       string   `json:"i"` // 22 base62 characters; will be the id of the authorization
	ClientID string   `json:"c"`
	Redirect string   `json:"r"`           // where the answer goes
	Implied  bool     `json:"ri,omitzero"` // the client left its one redirect URI out
	Mode     string   `json:"m,omitzero"`  // response_mode: "query" or "form_post"
	State    string   `json:"s,omitzero"`
	Nonce    string   `json:"n,omitzero"`
	Scopes   []string `json:"sc,omitzero"`
	Audience []string `json:"a,omitzero"`
	// Challenge is PKCE S256, or empty if the client is exempt and sent none.
	Challenge string          `json:"pk,omitzero"`
	Prompt    []string        `json:"p,omitzero"`
	MaxAge    *int64          `json:"ma,omitzero"` // seconds; the client's default is already in it
	Display   string          `json:"d,omitzero"`
	LoginHint string          `json:"lh,omitzero"`
	Locales   []string        `json:"l,omitzero"`
	Claims    json.RawMessage `json:"cl,omitzero"` // the claims parameter, compact
	IdP       string          `json:"ip,omitzero"` // idp_hint, or the client's default
	Org       string          `json:"o,omitzero"`  // organization
	Subject   string          `json:"su,omitzero"` // only this person may be answered about
	ACR       []string        `json:"ac,omitzero"` // an essential acr: one of these or a refusal

	Begun int64 `json:"b"` // Unix microseconds
	// Browser is the digest of the cookie of the browser that began. It is empty while a
	// request that came by POST from another site has not shown its cookies yet.
	Browser []byte `json:"br,omitzero"`
	// Chosen is the session that the person chose to continue with, after prompt=select_account.
	Chosen string `json:"ch,omitzero"`
	// Asked is the account that is being asked for consent. Nobody else can give it.
	Asked string `json:"as,omitzero"`
}

func (q *request) begun() time.Time { return time.UnixMicro(q.Begun) }

// prompts says whether the prompt parameter holds a value.
func (q *request) prompts(value string) bool { return slices.Contains(q.Prompt, value) }

// newRequest begins a request. Its times are those that the database keeps: microseconds.
func newRequest(now time.Time) request {
	return request{ID: secret.NewID(""), Begun: now.UnixMicro()}
}

const purposeRequest = "authorization request"

// sealRequest returns the request for its journey through the browser.
func (p *Provider) sealRequest(q *request) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it would make addresses longer
	if err := enc.Encode(q); err != nil {
		return "", err
	}
	sealed := p.seal.close(purposeRequest, b.Bytes())
	if len(sealed) > maxSealed {
		return "", refuse("invalid_request", "The request is too large.") // control characters grow as JSON
	}
	return sealed, nil
}

// openRequest opens what sealRequest made, if it is not too old. It does not look at the
// browser.
func (p *Provider) openRequest(sealed string, now time.Time) (*request, error) {
	plain, ok := p.seal.open(purposeRequest, sealed)
	if !ok {
		return nil, startAgain("This address is not a sign-in that we began.")
	}
	q := new(request)
	if err := json.Unmarshal(plain, q); err != nil {
		return nil, startAgain("This address is not a sign-in that we began.").because(err)
	}
	if age := now.Sub(q.begun()); age > p.RequestTTL {
		return nil, startAgain("This sign-in took too long.")
	}
	return q, nil
}

// startAgain is a refusal for a person, not for an application: there is nothing to return
// to, or nobody can be sure that this is the person to return.
func startAgain(why string) *Error {
	return refuse("invalid_request", "%s Go back to the application and start again.", why)
}
