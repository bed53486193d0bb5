package issuer

import (
	"errors"
	"net/http"
)

// UserInfo is the userinfo endpoint, OpenID Connect Core §5.3.
func (p *Provider) UserInfo(w http.ResponseWriter, r *http.Request) error {
	return errors.New("issuer: not written yet")
}
