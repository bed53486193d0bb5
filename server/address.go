package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// proxies are the networks whose word about a client's address is taken.
type proxies []netip.Prefix

// address returns where a request comes from: the address of the connection or, if that is one
// of our proxies, what it says in X-Forwarded-For. The list is read from the right, because
// everything left of the last entry that a proxy of ours wrote may be made up by the client.
//
// It is used for limits, for the log and for API keys that are bound to networks. No other
// forwarding header is read here: not for the host, and for the scheme only by the guard, which
// refuses a key that came in clear text.
func (p proxies) address(r *http.Request) netip.Addr {
	at := remote(r)
	if !p.trust(at) {
		return at
	}
	lines := r.Header["X-Forwarded-For"] // several lines are one list, RFC 9110 §5.3
	for i := len(lines) - 1; i >= 0; i-- {
		list := lines[i]
		for list != "" {
			comma := strings.LastIndexByte(list, ',')
			said, ok := parseAddress(strings.TrimSpace(list[comma+1:]))
			if !ok {
				return at // whatever that is, the proxy after it is all we know
			}
			at = said
			if !p.trust(at) {
				return at
			}
			list = list[:max(comma, 0)]
		}
	}
	return at
}

func (p proxies) trust(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// remote returns the address of the connection.
func remote(r *http.Request) netip.Addr {
	a, _ := parseAddress(r.RemoteAddr)
	return a
}

// parseAddress reads an address with or without a port, as different proxies write it. The
// zone of an IPv6 address means nothing outside of the machine that it was written on.
func parseAddress(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}
