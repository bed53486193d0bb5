package issuer

import (
	"errors"
	"net/http"
)

// Token is the token endpoint, RFC 6749 §3.2.
func (p *Provider) Token(w http.ResponseWriter, r *http.Request) error {
	return errors.New("issuer: not written yet")
}
