package upstream

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"mintmark/bearer"
	"mintmark/internal/fetch"
)

// How long what a provider says of itself is believed.
const (
	discoveryAge   = time.Hour        // until it is asked again
	discoveryStale = 24 * time.Hour   // while it can't be asked
	discoveryRest  = 30 * time.Second // between two tries, if there is something to go on with
	failureAge     = 5 * time.Second  // between two tries, if there is not
	maxDiscovery   = 256 << 10
)

// tenantID stands in Microsoft's issuer for the tenant of each person.
const tenantID = "{tenantid}"

// places are the addresses of a provider, and what else its metadata says.
type places struct {
	Authorize, Token, UserInfo, JWKS string
	Revoke                           string // empty: nothing can be revoked there

	Issuer     string // of the metadata; may have {tenantid} in it
	SaysIssuer bool   // RFC 9207 §3: its answers have iss
	InBody     bool   // it wants the client secret in the body only
	Algorithms []string
	Scopes     []string // that it supports; empty: not said
}

// discovered is what was found, and when.
type discovered struct {
	flight  singleflight.Group
	mu      sync.Mutex
	places  places
	at      time.Time // zero: never
	triedAt time.Time
	failed  error // of the last try
}

// A keyRing is the keys at the address where they were last.
type keyRing struct {
	mu   sync.Mutex
	at   string
	keys *bearer.PublicKeys
}

// places returns the addresses of the provider: of its row, its kind, or its metadata, in this
// order.
func (t *talk) places() (places, error) {
	known := placesOf(t.p)
	if !needsDiscovery(t.p, known) {
		known.Issuer, known.InBody = t.p.issuer(), kinds[t.p.Kind].inBody
		return known, nil
	}
	found, err := t.discover()
	if err != nil {
		return places{}, err
	}
	found.Authorize = cmp.Or(known.Authorize, found.Authorize)
	found.Token = cmp.Or(known.Token, found.Token)
	found.UserInfo = cmp.Or(known.UserInfo, found.UserInfo)
	found.JWKS = cmp.Or(known.JWKS, found.JWKS)
	found.Revoke = cmp.Or(known.Revoke, found.Revoke)
	return found, nil
}

// needsDiscovery says whether there is something that only the metadata says.
func needsDiscovery(p *Provider, known places) bool {
	k := kinds[p.Kind]
	return k.connect && (known.JWKS == "" || !k.tokens && (known.Authorize == "" || known.Token == ""))
}

// fresh returns what was found, or why nothing was, if it need not be looked at again.
func (d *discovered) fresh(now time.Time) (found places, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	age, rest := now.Sub(d.at), now.Sub(d.triedAt)
	there := !d.at.IsZero() && age < discoveryStale
	switch {
	case there && (age < discoveryAge || rest < discoveryRest):
		return d.places, true, nil
	case !there && d.failed != nil && rest < failureAge:
		return places{}, false, d.failed
	}
	return places{}, false, nil
}

// discover reads the provider's metadata, OpenID Connect Discovery §4. All who need it at the
// same time wait for one answer. If there is none, what was found before is good for a day.
func (t *talk) discover() (places, error) {
	if found, ok, err := t.found.fresh(t.now); ok || err != nil {
		return found, err
	}
	v, err, _ := t.found.flight.Do("", func() (any, error) {
		if found, ok, err := t.found.fresh(t.now); ok || err != nil {
			return found, err
		}
		// Not the context of whoever came first: the others wait for this too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), t.timeout)
		defer cancel()
		alone := &talk{connection: t.connection, ctx: ctx, p: t.p, now: t.now}
		found, err := alone.readMetadata()
		t.outcome = alone.outcome
		return t.found.keep(found, err, t.now)
	})
	if err != nil {
		return places{}, err
	}
	return v.(places), nil
}

// keep remembers what came of a try, and returns what to go on with.
func (d *discovered) keep(found places, err error, now time.Time) (places, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.triedAt, d.failed = now, err
	switch {
	case err == nil:
		d.places, d.at = found, now
	case !d.at.IsZero() && now.Sub(d.at) < discoveryStale:
		return d.places, nil
	}
	return found, err
}

func (t *talk) readMetadata() (places, error) {
	issuer := t.p.issuer()
	// §4.1: "any terminating / MUST be removed before appending".
	address := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	a, err := t.ask(fetch.Request{URL: address, Header: http.Header{"Accept": {"application/json"}}, Limit: maxDiscovery})
	if err != nil {
		return places{}, err
	}
	if a.Status != http.StatusOK {
		return places{}, t.refuse("bad_discovery", fmt.Errorf("%s says %d", host(address), a.Status))
	}
	d, err := parseDocument(a.Body)
	if err != nil {
		return places{}, t.refuse("bad_discovery", err)
	}
	found, err := readPlaces(d, issuer, kinds[t.p.Kind])
	if err != nil {
		return places{}, t.refuse("bad_discovery", err)
	}
	return found, nil
}

// readPlaces reads metadata of OpenID Connect Discovery §3 and RFC 8414 §2.
func readPlaces(d document, issuer string, k *kind) (places, error) {
	found := places{
		Issuer: d.text("issuer"), Authorize: d.text("authorization_endpoint"), Token: d.text("token_endpoint"),
		UserInfo: d.text("userinfo_endpoint"), JWKS: d.text("jwks_uri"),
		SaysIssuer: d.at("authorization_response_iss_parameter_supported") == true,
	}
	// §4.3: "MUST be identical to the Issuer URL that was used as the prefix". Microsoft's, for
	// people of more than one tenant, is the one exception: it has a place for the tenant.
	if found.Issuer != issuer && !isTemplateOf(found.Issuer, issuer) {
		return places{}, fmt.Errorf("the metadata is of the issuer %.100q", found.Issuer)
	}
	base, err := url.Parse(issuer)
	if err != nil {
		return places{}, err
	}
	for name, a := range map[string]string{"authorization_endpoint": found.Authorize, "token_endpoint": found.Token,
		"userinfo_endpoint": found.UserInfo, "jwks_uri": found.JWKS} {
		// Who only signs tokens need have no more than keys: OpenID Connect Discovery wants more, and
		// Kubernetes and GitHub Actions have no more.
		if a == "" && (name == "userinfo_endpoint" || k.tokens && name != "jwks_uri") {
			continue
		}
		u, err := url.Parse(a)
		if problem := address(a); problem != "" || err != nil {
			return places{}, fmt.Errorf("%s %s", name, problem)
		}
		if u.Scheme != "https" && base.Scheme == "https" {
			return places{}, fmt.Errorf("%s is in clear text, and the issuer is not", name)
		}
	}
	// RFC 8414 §2. Nobody signs in by it: a strange one keeps nobody out.
	if a := d.text("revocation_endpoint"); address(a) == "" && (strings.HasPrefix(a, "https:") || base.Scheme != "https") {
		found.Revoke = a
	}
	methods, ok := d.texts("token_endpoint_auth_methods_supported")
	if !ok {
		return places{}, fmt.Errorf("token_endpoint_auth_methods_supported is not a list of texts")
	}
	// §3: "If omitted, the default is client_secret_basic".
	found.InBody = k.inBody || slices.Contains(methods, "client_secret_post") && !slices.Contains(methods, "client_secret_basic")
	if found.Scopes, ok = d.texts("scopes_supported"); !ok {
		return places{}, fmt.Errorf("scopes_supported is not a list of texts")
	}
	offered, ok := d.texts("id_token_signing_alg_values_supported")
	if !ok {
		return places{}, fmt.Errorf("id_token_signing_alg_values_supported is not a list of texts")
	}
	for _, alg := range signing {
		if slices.Contains(offered, alg) {
			found.Algorithms = append(found.Algorithms, alg)
		}
	}
	return found, nil
}

// isTemplateOf says whether a metadata's issuer is Microsoft's for all tenants, and was found at
// one of the addresses that it has for this.
func isTemplateOf(template, issuer string) bool {
	return strings.Count(template, tenantID) == 1 && slices.ContainsFunc([]string{"common", "organizations"}, func(tenant string) bool {
		return strings.Replace(template, tenantID, tenant, 1) == issuer
	})
}

// isIssuer says whether an iss is the one of the metadata. tenant is the token's own tid, or
// empty if it is not known: any tenant will do.
func isIssuer(template, iss, tenant string) bool {
	before, after, found := strings.Cut(template, tenantID)
	if !found {
		return iss != "" && iss == template
	}
	id, ok := strings.CutPrefix(iss, before)
	if !ok {
		return false
	}
	id, ok = strings.CutSuffix(id, after)
	return ok && isUUID(id) && (tenant == "" || tenant == id)
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') ||
			!dash && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}
