package bearer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"
)

// A Config says what a guard lets in. It needs at least one of Tokens, Keys and Session.
type Config struct {
	// Tokens verifies Bearer tokens that are JWTs, as [Tokens] does. Nil refuses them.
	Tokens Verifier
	// Keys verifies API keys, as [RemoteKeys] does. Nil refuses them.
	Keys Verifier
	// Session says who is signed in by the request's cookie, and whether anybody is. It is only
	// asked if the request shows nothing else: a browser sends its cookies by itself, and
	// what was put there on purpose counts. Nil means that there are no cookies.
	Session func(r *http.Request, now time.Time) (Principal, bool, error)

	// Headers are fields that may carry an API key besides Authorization. The default is
	// X-API-Key; an empty list that is not nil means none.
	Headers []string
	// KeyPrefixes is how API keys begin. A Bearer token that begins so is a key. The default
	// is mm_.
	KeyPrefixes []string

	// ResourceMetadata is the URL of this service's metadata, RFC 9728, which challenges name.
	ResourceMetadata string
	// Realm is the name of what is protected, RFC 9110 §11.5. The default is "api".
	Realm string

	// Origins are the origins, as https://app.example, whose pages may use the session cookie
	// besides the service's own.
	Origins []string
	// Proxies are the addresses whose X-Forwarded-Proto and X-Forwarded-For are believed. A
	// credential that comes over HTTP from another machine is refused with 403, as somebody may
	// have read it, unless it comes from a proxy that says it had TLS.
	Proxies []netip.Prefix
	// ProxiesHaveTLS says that one of the Proxies which does not say how a request came to it had
	// TLS. One that says HTTP is believed in any case.
	ProxiesHaveTLS bool
	// Address says where a request comes from, for a service that knows. The default goes by the
	// connection, Proxies and X-Forwarded-For.
	Address func(*http.Request) netip.Addr

	// Revoked is asked about every principal, also about one whose credential is remembered. It
	// returns ErrInvalid for one that was revoked since, ErrUnavailable if it can't tell. It is on
	// the path of every request. The default says that nothing was revoked.
	Revoked func(ctx context.Context, p Principal, now time.Time) error
	// Exposed is told of a good credential that others may have seen, because it was in a URL
	// or came in clear text, so that it can be revoked. The request is refused in any case.
	Exposed func(ctx context.Context, p Principal, how *Error)

	// WriteError writes refusals. The default is [WriteProblem].
	WriteError ErrorWriter
	// Log gets a line for each refusal. The default is [slog.Default].
	Log *slog.Logger
}

// A Guard stands before handlers and lets in who may enter. It is safe for concurrent use.
type Guard struct {
	Config
	crossOrigin http.CrossOriginProtection
}

// New returns a guard, or an error in one sentence that says what is wrong with the configuration.
func New(c Config) (*Guard, error) {
	if c.Tokens == nil && c.Keys == nil && c.Session == nil {
		return nil, errors.New("bearer: a guard needs Tokens, Keys or Session: it would let nobody in")
	}
	if c.Headers == nil {
		c.Headers = []string{"X-API-Key"}
	}
	c.Headers = slices.Clone(c.Headers)
	for i, name := range c.Headers {
		c.Headers[i] = textproto.CanonicalMIMEHeaderKey(name)
		if c.Headers[i] == "Authorization" || c.Headers[i] == "Cookie" {
			return nil, fmt.Errorf("bearer: %s can't be one of the Headers", name)
		}
	}
	if c.KeyPrefixes == nil {
		c.KeyPrefixes = []string{"mm_"}
	}
	if slices.Contains(c.KeyPrefixes, "") {
		return nil, errors.New("bearer: an empty KeyPrefix would make a key of every token")
	}
	if c.Realm == "" {
		c.Realm = "api"
	}
	if strings.ContainsAny(c.Realm+c.ResourceMetadata, "\"\\\r\n") {
		return nil, errors.New("bearer: Realm and ResourceMetadata can't contain quotes, backslashes or line breaks")
	}
	if c.WriteError == nil {
		c.WriteError = WriteProblem
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	g := &Guard{Config: c}
	for _, origin := range c.Origins {
		if err := g.crossOrigin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("bearer: Origins: %w", err)
		}
	}
	return g, nil
}

// A Rule is what a route asks for.
type Rule struct {
	All      []string // scopes that are all needed
	Audience string   // the resource that asks, for verifiers that look at it; empty: the service as a whole
	Any      []string // scopes of which one is needed
	Methods  []Method // how the caller may show who it is; empty: in any way
	Optional bool     // whether a request without a credential passes. A bad one never does
}

// Require returns middleware that lets in who has all of the scopes. Without scopes,
// everybody with a good credential may enter.
func (g *Guard) Require(scopes ...string) func(http.Handler) http.Handler {
	return g.With(Rule{All: scopes})
}

// RequireAny returns middleware that lets in who has one of the scopes.
func (g *Guard) RequireAny(scopes ...string) func(http.Handler) http.Handler {
	return g.With(Rule{Any: scopes})
}

// Optional returns middleware that lets in everybody, but nobody with a bad credential:
// whoever shows one wants to be known.
func (g *Guard) Optional() func(http.Handler) http.Handler { return g.With(Rule{Optional: true}) }

// With returns middleware that lets in whom the rule lets in. Guards may stand behind each
// other, as with mux's Use and one more before a route: the credential is verified once.
// It panics if a scope is not one by RFC 6749 §3.3; that is known when the program starts.
func (g *Guard) With(rule Rule) func(http.Handler) http.Handler {
	for _, scope := range slices.Concat(rule.All, rule.Any) {
		if !isScope(scope) {
			panic(fmt.Sprintf("bearer: %q is not a scope", scope))
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, shown, err := g.enter(r, &rule)
			if err != nil {
				g.refuse(w, r, rule, shown, err)
				return
			}
			if c, ok := ctx.(*carried); ok && c != r.Context() {
				c.principal.Limits.Set(w.Header())
				r = r.WithContext(c)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// Forget has the verifiers forget what they remember of these: ids of keys, tokens (jti),
// sessions, authorizations, clients or subjects. The next request with such a credential is
// verified anew; to have it refused is up to [Config.Revoked].
func (g *Guard) Forget(ids ...string) {
	for _, v := range []Verifier{g.Tokens, g.Keys} {
		if f, ok := v.(forgetter); ok {
			f.Forget(ids...)
		}
	}
}

// refuse writes a refusal and a line in the log, which never has the credential.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, rule Rule, shown carrier, err error) {
	e := refusalOf(err)
	level := slog.LevelInfo
	if e.Status >= 500 {
		level = slog.LevelError
	}
	g.Log.LogAttrs(r.Context(), level, "refused", slog.String("method", r.Method), slog.String("code", e.Code),
		slog.Int("status", e.Status), slog.String("err", err.Error()))
	g.challenge(w.Header(), e, slices.Concat(rule.All, rule.Any), shown)
	g.WriteError(w, r, e)
}

// isScope is the grammar of a scope, RFC 6749 §3.3.
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
