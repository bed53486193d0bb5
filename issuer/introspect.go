package issuer

import (
	"errors"
	"net/http"
)

// Introspect is the introspection endpoint, RFC 7662.
func (p *Provider) Introspect(w http.ResponseWriter, r *http.Request) error {
	return errors.New("issuer: not written yet")
}
