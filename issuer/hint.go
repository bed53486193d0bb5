package issuer

import (
	"encoding/json"
	"errors"
	"slices"

	"mintmark/keys"
)

// hintClaims is what we read of an ID token that comes back to us.
type hintClaims struct {
	Issuer   string    `json:"iss"`
	Subject  string    `json:"sub"`
	Audience oneOrMany `json:"aud"`
	Session  string    `json:"sid"`
}

// readHint returns what an ID token of ours says, expired or not. It proves that we once
// told it to somebody, not who is there now.
func readHint(verify func(token, typ string) ([]byte, error), issuer, token string) (hintClaims, error) {
	var hint hintClaims
	if len(token) > maxRequest {
		return hint, errors.New("too long")
	}
	body, err := verify(token, "JWT")
	if err != nil {
		return hint, err
	}
	if err := json.Unmarshal(body, &hint); err != nil {
		return hint, err
	}
	if hint.Issuer != issuer || hint.Subject == "" || len(hint.Audience) == 0 {
		return hint, errors.New("not an ID token of this issuer")
	}
	return hint, nil
}

func checkIDTokenHint(a *asking) *Error {
	token := a.form.get("id_token_hint")
	if token == "" {
		return nil
	}
	hint, err := readHint(a.verify, a.issuer, token)
	if errors.Is(err, keys.ErrStale) {
		return refuse("temporarily_unavailable", "The signing keys are out of reach. Try again in a moment.").because(err)
	}
	if err != nil {
		return refuse("invalid_request", "id_token_hint is not an ID token of this issuer.").because(err)
	}
	if !slices.Contains(hint.Audience, a.client.ID) {
		return refuse("invalid_request", "id_token_hint is not an ID token of this client.")
	}
	if a.req.Subject != "" && a.req.Subject != hint.Subject {
		return refuse("invalid_request", "id_token_hint and claims name two different people.")
	}
	a.req.Subject = hint.Subject
	return nil
}
