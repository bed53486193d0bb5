package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// fromOurPage refuses a form that a page of another site sent.
//
// [http.CrossOriginProtection] alone also believes an Origin that has the host of the request's
// Host header, whatever its scheme: a page that somebody on the network put at http:// of our
// name, or that reached us under a name of its own. In production only the issuer is us.
func (s *Server) fromOurPage(r *http.Request) error {
	if err := s.sameSite.Check(r); err != nil {
		return err
	}
	origin := r.Header.Get("Origin")
	if safe := r.Method == http.MethodGet || r.Method == http.MethodHead; safe || s.cfg.Dev || origin == "" || isOrigin(origin, s.cfg.Issuer) {
		return nil
	}
	return errors.New("the Origin is not the issuer's")
}

// isOrigin compares an Origin header with the origin of an address of ours.
func isOrigin(origin, address string) bool {
	a, err := url.Parse(origin)
	if err != nil {
		return false
	}
	b, err := url.Parse(address)
	return err == nil && a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// port is the port of an address, also if it is not written because it is its scheme's own.
func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
