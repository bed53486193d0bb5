package issuer

import (
	"errors"
	"net/http"
)

// Revoke is the revocation endpoint, RFC 7009.
func (p *Provider) Revoke(w http.ResponseWriter, r *http.Request) error {
	return errors.New("issuer: not written yet")
}
