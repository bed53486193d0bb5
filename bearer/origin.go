package bearer

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// checkOrigin refuses a request with a session cookie that another site's page had the
// browser send: one that changes something, by what browsers say of its origin, and every
// WebSocket, which begins with a GET and is open to all sites.
func (g *Guard) checkOrigin(r *http.Request) error {
	if isWebSocket(r) {
		// RFC 6455 §10.2: the server "SHOULD verify the |Origin| field". Every browser sends it.
		if !g.ownOrigin(r) {
			return ErrCrossOrigin
		}
		return nil
	}
	if err := g.crossOrigin.Check(r); err != nil {
		return ErrCrossOrigin.because(err)
	}
	return nil
}

// isWebSocket says whether the request asks for another protocol: RFC 6455 §4.1, or RFC 8441
// §4 over HTTP/2. Any Upgrade counts, so that a list or an odd case does not slip through. A proxy
// that asks about a request takes Upgrade away, which is about its connection, and leaves the
// version, without which no browser opens a socket.
func isWebSocket(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Header["Sec-Websocket-Version"] != nil || r.Method == http.MethodConnect
}

func (g *Guard) ownOrigin(r *http.Request) bool {
	lines := r.Header["Origin"]
	if len(lines) != 1 {
		return false
	}
	if slices.Contains(g.Origins, lines[0]) {
		return true
	}
	u, err := url.Parse(lines[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// clearText says whether others could have read the request: it came without TLS, from an
// address that is not this machine, and not from a proxy that says it had TLS.
// from is the other end of the connection.
func (g *Guard) clearText(r *http.Request, from netip.Addr) bool {
	if r.TLS != nil {
		return false
	}
	if g.isProxy(from) {
		switch said := last(r.Header["X-Forwarded-Proto"]); {
		case said != "":
			return !strings.EqualFold(said, "https") && !g.address(r, from).IsLoopback()
		case g.ProxiesHaveTLS:
			return false
		}
	}
	return !from.IsLoopback() // No address is no proof of a safe one.
}

// address is where the request comes from, if from is the other end of the connection.
func (g *Guard) address(r *http.Request, from netip.Addr) netip.Addr {
	if g.Address != nil {
		return g.Address(r)
	}
	return g.clientAddress(r, from)
}

// clientAddress is where the request comes from: the last address that is not a proxy's. What
// stands before it in X-Forwarded-For, anybody may have written.
func (g *Guard) clientAddress(r *http.Request, from netip.Addr) netip.Addr {
	if !g.isProxy(from) {
		return from
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			return from
		}
		if from = next.Unmap().WithZone(""); !g.isProxy(from) {
			return from
		}
	}
	return from
}

func (g *Guard) isProxy(a netip.Addr) bool {
	return slices.ContainsFunc(g.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// remote is the other end of the connection; the zero address if there is none.
func remote(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// last is the last element of a list field: the one that the nearest proxy added.
func last(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	line := lines[len(lines)-1]
	return strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:])
}
