package server

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"mintmark/upstream"
)

// A Config says what to serve. Only Issuer, Database and MasterKeys have no default.
type Config struct {
	// Issuer is the issuer identifier, which applications know us by: https://, a host, and
	// perhaps a path, without a slash at the end. It can't be changed once applications have
	// stored it. It is never taken from a request. http:// is allowed on loopback only.
	Issuer string

	// Listen is where applications and people connect to. The default is ":8080".
	Listen string
	// Listener, if there is one, is used in place of Listen.
	Listener net.Listener
	// AdminListen is where metrics are served, for the operator only. Without one there are none.
	AdminListen string
	// TLSCert and TLSKey are the names of PEM files. With them Listen speaks TLS itself.
	TLSCert, TLSKey string
	// TrustedProxies are the networks whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are
	// believed. X-Forwarded-For decides under which address attempts are counted and logged, and
	// whether a key that is bound to networks may be used; X-Forwarded-Proto, whether a key came in
	// clear text: a proxy that does not say is taken to have TLS, if the issuer is https. The
	// default is none: the address of the connection counts, and a key that comes from another
	// machine without TLS is refused.
	TrustedProxies []netip.Prefix

	// Database is "sqlite:" and a file name, or a postgres:// URL.
	Database string
	// MaxConns is how many connections to the database there are at most: see [storage.Options],
	// which has the default.
	MaxConns int
	// NoMigrate refuses to start on a database that is older than this program, in place of
	// bringing it up to date.
	NoMigrate bool

	// MasterKeys seal what must be read back from the database, such as signing keys. 32 bytes
	// each. The first seals; the others only open what was sealed before it.
	MasterKeys [][]byte

	// RotateEvery is how long a signing key signs. The default is 90 days.
	RotateEvery time.Duration
	// AccessTTL, IDTTL and CodeTTL are the lives of access tokens (5 minutes), ID tokens (5
	// minutes) and authorization codes (60 seconds).
	AccessTTL, IDTTL, CodeTTL time.Duration
	// RefreshIdle and RefreshMax end a family of refresh tokens: so long after its last use (30
	// days), and so long after its start (90 days).
	RefreshIdle, RefreshMax time.Duration
	// RefreshGrace is how long the previous refresh token gets the same successor again, because
	// an answer can be lost. The default is 120 seconds.
	RefreshGrace time.Duration
	// RequestTTL is how long a person has to sign in and consent. The default is 30 minutes.
	RequestTTL time.Duration
	// SessionIdle and SessionMax end a session: so long after it was last seen (12 hours), and
	// so long after the sign-in (30 days).
	SessionIdle, SessionMax time.Duration

	// KeyLife is how long an API key may be good at most. The default is 366 days.
	KeyLife time.Duration
	// KeysPerOwner is how many API keys a person or a service account may have, of those that are
	// good or were made in the last day. The default is 1000.
	KeysPerOwner int
	// OwnKeyScopes is what people may let API keys of their own do, and OwnKeyAudience the services
	// (resources, RFC 8707) that those keys are for. Without any, such a key says who it is, and no more.
	OwnKeyScopes, OwnKeyAudience []string
	// QuotaOpen lets API keys with a quota pass, uncounted, while the database is away.
	QuotaOpen bool

	// LeakSecret signs reports of leaked API keys, as [apikeys.HeaderMAC] says; LeakKeys is the name of a
	// PEM file with the public keys of those who sign as GitHub's secret scanning does, LeakKeysURL
	// where GitHub publishes its own. Without any, a report needs an API key.
	LeakSecret, LeakKeys, LeakKeysURL string
	// NoticeURL is told of leaked, idle and expiring API keys, in POSTs that NoticeSecret signs.
	NoticeURL, NoticeSecret string

	// HashSlots is how many passwords are hashed at the same time, 19 MiB each. The default is
	// the number of processors.
	HashSlots int
	// FetchAllow are hosts ("host" or "host:port") that a client's jwks_uri may name although
	// their address is not public.
	FetchAllow []string
	// Providers are upstream providers by their kind. Others are added by the admin API.
	Providers map[string]ConfiguredProvider
	// ProviderHosts are hosts ("host" or "host:port") that an upstream provider may be at although
	// their address is not public. One whose operator wrote that address itself needs no entry.
	ProviderHosts []string
	// Connectors say whose the tokens of other systems are, by the name of their provider's row. They are of
	// a program that embeds the server; others have an address.
	Connectors map[string]upstream.Connector
	// Name is what the pages call this server. The default is "Mintmark".
	Name string

	// DrainDelay is how long /readyz says no before the listener closes, so that a balancer
	// stops sending. The default is 2 seconds; negative: not at all.
	DrainDelay time.Duration
	// Dev is development mode: loopback only, and metrics on the same listener.
	Dev bool
	// Version is the version of the program, for the admin API.
	Version string
	// Log gets one line for each request. The default is [slog.Default].
	Log *slog.Logger
}

// Check returns everything that is wrong with a configuration, as one error with a line for each.
func (c *Config) Check() error {
	var wrong []error
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if c.Issuer == "" {
		add("issuer is not set: the https:// address at which applications will find this server")
	} else if err := checkIssuer(c.Issuer); err != nil {
		add("issuer %q: %w", c.Issuer, err)
	}
	switch scheme, rest, _ := strings.Cut(c.Database, ":"); {
	case c.Database == "":
		add("database.url is not set: sqlite:FILE or postgres://USER@HOST/NAME")
	case scheme == "sqlite" && rest == "":
		add("database.url names no file: sqlite:FILE")
	case scheme != "sqlite" && scheme != "postgres" && scheme != "postgresql":
		// Not the value: it may be a password in the wrong place.
		add("database.url starts with neither sqlite: nor postgres://")
	}
	if len(c.MasterKeys) == 0 {
		add("secrets.encryption_key is not set: it seals the signing keys in the database. " +
			"Make one with `mintmark secrets new`, keep it outside of the database and its backups, " +
			"and give it as MINTMARK_SECRETS_ENCRYPTION_KEY or MINTMARK_SECRETS_ENCRYPTION_KEY_FILE")
	}
	for i, key := range c.MasterKeys {
		if len(key) != 32 {
			add("master key %d has %d bytes, not 32", i+1, len(key))
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		add("tls.cert and tls.key go together: only one of them is set")
	}
	if (c.NoticeURL == "") != (c.NoticeSecret == "") {
		add("notices.url and notices.secret go together: only one of them is set")
	}
	for _, a := range []struct{ name, value string }{{"notices.secret", c.NoticeSecret}, {"leaks.secret", c.LeakSecret}} {
		if a.value != "" && len(a.value) < 16 {
			add("%s is shorter than 16 characters", a.name)
		}
	}
	for _, a := range []struct{ name, value string }{{"notices.url", c.NoticeURL}, {"leaks.github_keys_url", c.LeakKeysURL}} {
		if u, err := url.Parse(a.value); a.value != "" && (err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname()))) {
			add("%s must be an https:// address", a.name)
		}
	}
	for _, d := range []struct {
		name        string
		value       time.Duration
		least, most time.Duration
	}{
		{"signing.rotate_every", c.RotateEvery, 24 * time.Hour, 10 * 365 * 24 * time.Hour},
		{"tokens.access_ttl", c.AccessTTL, time.Second, 24 * time.Hour},
		{"tokens.id_ttl", c.IDTTL, time.Second, 24 * time.Hour},
		// RFC 6749 §4.1.2: "A maximum authorization code lifetime of 10 minutes is RECOMMENDED."
		{"tokens.code_ttl", c.CodeTTL, time.Second, 10 * time.Minute},
		{"tokens.refresh_idle", c.RefreshIdle, time.Second, 10 * 365 * 24 * time.Hour},
		{"tokens.refresh_max", c.RefreshMax, time.Second, 10 * 365 * 24 * time.Hour},
		{"tokens.refresh_reuse_grace", c.RefreshGrace, time.Second, time.Hour},
		{"tokens.request_ttl", c.RequestTTL, time.Second, 24 * time.Hour},
		{"sessions.idle", c.SessionIdle, time.Second, 365 * 24 * time.Hour},
		{"sessions.max", c.SessionMax, time.Second, 365 * 24 * time.Hour},
		{"keys.max_life", c.KeyLife, time.Hour, 10 * 366 * 24 * time.Hour},
		{"shutdown.delay", max(c.DrainDelay, 0), 0, time.Minute},
	} {
		if d.value != 0 && (d.value < d.least || d.value > d.most) {
			add("%s is %s: it must be between %s and %s", d.name, d.value, d.least, d.most)
		}
	}
	for _, n := range []struct {
		name  string
		value int
		most  int
	}{{"database.max_conns", c.MaxConns, 10000}, {"keys.max_per_owner", c.KeysPerOwner, 1_000_000}, {"sign_in.hash_slots", c.HashSlots, 1024}} {
		if n.value < 0 || n.value > n.most {
			add("%s is %d: it must be between 1 and %d", n.name, n.value, n.most)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(c.Providers)) {
		if p := c.Providers[kind]; p.on() {
			if err := p.check(kind); err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	if c.Dev {
		if u, err := url.Parse(c.Issuer); err == nil && c.Issuer != "" && !loopback(u.Hostname()) {
			add("the issuer of a development server must be on this machine (localhost, 127.0.0.1 or [::1]), not %s: use `mintmark serve`", u.Host)
		}
		if c.Listener == nil {
			if host, _, err := net.SplitHostPort(c.Listen); err == nil && !loopback(host) {
				add("a development server listens on this machine only (localhost, 127.0.0.1 or [::1]), not on %q: use `mintmark serve`", c.Listen)
			}
		}
	}
	return errors.Join(wrong...)
}

// checkIssuer obeys OpenID Connect Discovery §3: a URL "using the https scheme with no query
// or fragment components", and RFC 8414 §2. Applications compare it byte by byte, so one that a library
// would write in another way is refused.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("it must start with https://")
	case u.Host == "" || u.Hostname() == "":
		return errors.New("it names no host")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("it must start with https://, because http:// is for loopback only")
	case u.User != nil:
		return errors.New("it must not contain a user name or password")
	case strings.ContainsAny(issuer, "?#"):
		return errors.New("it must have no query and no fragment")
	case strings.HasSuffix(issuer, "/"):
		return errors.New("it must not end with a slash")
	case u.Host != strings.ToLower(u.Host):
		return errors.New("its host must be written in lower case")
	case u.Path != "" && (u.RawPath != "" || !cleanPath(u.Path) || strings.ContainsAny(u.Path, "{}% ")):
		return errors.New("its path must be plain: no //, no dots, nothing escaped")
	case u.String() != issuer:
		return fmt.Errorf("it must be written as %s", u)
	}
	return nil
}

// loopback says whether a host is this machine, and no other.
func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}
