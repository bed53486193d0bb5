package issuer

import (
	"net/http"
	"time"

	"mintmark/internal/secret"
)

// browserCookieAge is long, because two requests that begin at the same time in a browser
// without the cookie each get one, and the later one wins.
const browserCookieAge = 30 * 24 * time.Hour

// browserCookie is the name of the cookie that binds a request to the browser that began
// it. The prefix keeps other hosts of the same site from setting it; browsers refuse it
// without https, so that an issuer on plain http goes without.
func (p *Provider) browserCookie() string {
	if p.secure {
		return "__Host-mintmark_browser"
	}
	return "mintmark_browser"
}

// browser returns the digest of the browser's binding cookie, if it has one that we made.
func (p *Provider) browser(r *http.Request) (secret.Digest, bool) {
	c, err := r.Cookie(p.browserCookie())
	if err != nil {
		return secret.Digest{}, false
	}
	if _, ok := p.Mint.Parse(secret.KindBrowser, c.Value); !ok {
		return secret.Digest{}, false
	}
	return secret.Wrap(c.Value).Digest(), true
}

// bind binds a request to the browser, and gives it a cookie if it has none. Nobody can go
// on with the request in another browser: not somebody who sends the address to a victim,
// so that they sign in or consent for him, and not somebody who finds it in a log.
func (p *Provider) bind(w http.ResponseWriter, r *http.Request, q *request) {
	if len(q.Browser) > 0 {
		return // open has compared it
	}
	digest, ok := p.browser(r)
	if !ok {
		made := p.Mint.Issue(secret.KindBrowser, secret.NewShortID())
		digest = made.Digest()
		http.SetCookie(w, &http.Cookie{
			Name:     p.browserCookie(),
			Value:    made.Reveal(),
			Path:     "/",
			MaxAge:   int(browserCookieAge.Seconds()),
			Secure:   p.secure,
			HttpOnly: true,
			SameSite: http.SameSiteLaxMode,
		})
	}
	q.Browser = digest[:]
}
