package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"mintmark/internal/journal"
	"mintmark/internal/secret"
	"mintmark/server"
)

// A setting is everything that can be configured. The rest of the program gets the server.Config.
type setting struct {
	server.Config
	previous  [][]byte // master keys that only open
	logLevel  slog.Level
	journal   *journal.Writer // behind Log
	logFormat string
}

// A key is one thing that an operator can choose. The file, the environment, the flags, the hint
// for a misspelt name and the reference are all made from the table of keys.
type key struct {
	path   string // in the file; MINTMARK_ and the path in upper case in the environment
	value  string // the default, as it would be written
	doc    string
	flag   string // of `serve`, if there is one
	secret bool   // the value is not repeated in errors, and may be file:NAME in the file
	list   bool
	set    func(s *setting, value string) error
}

// env returns the name of the key in the environment.
func (k key) env() string { return "MINTMARK_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_")) }

// allKeys is the whole configuration.
func allKeys() []key {
	return append([]key{
		{path: "issuer", flag: "issuer", doc: "The address at which applications know this server: https://, a host, perhaps a path, no slash at the end. It can not be changed once applications have stored it.",
			set: text(func(s *setting) *string { return &s.Issuer })},
		{path: "listen", value: ":8080", flag: "listen", doc: "Where to listen for applications and people.",
			set: text(func(s *setting) *string { return &s.Listen })},
		{path: "admin_listen", flag: "admin-listen", doc: "Where to serve /metrics, /healthz and /readyz for the operator. Empty: no metrics.",
			set: text(func(s *setting) *string { return &s.AdminListen })},
		{path: "trusted_proxies", list: true, doc: "Networks (CIDR) whose X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are believed. Empty: none.",
			set: trustedProxies},
		{path: "tls.cert", flag: "tls-cert", doc: "A PEM file with the certificate and its chain, to speak TLS without a proxy.",
			set: text(func(s *setting) *string { return &s.TLSCert })},
		{path: "tls.key", flag: "tls-key", doc: "A PEM file with the private key of tls.cert.",
			set: text(func(s *setting) *string { return &s.TLSKey })},

		{path: "secrets.encryption_key", secret: true, doc: "The key that seals what is secret in the database: 32 bytes, base64. `mintmark secrets new` makes one.",
			set: masterKeys(func(s *setting, keys [][]byte) { s.MasterKeys = keys })},
		{path: "secrets.previous_encryption_keys", secret: true, list: true, doc: "Older keys, which only open what they have sealed. See `mintmark secrets rotate`.",
			set: masterKeys(func(s *setting, keys [][]byte) { s.previous = keys })},

		{path: "database.url", secret: true, flag: "database", doc: "sqlite:FILE or postgres://USER@HOST/NAME. DATABASE_URL is accepted too.",
			set: text(func(s *setting) *string { return &s.Database })},
		{path: "database.max_conns", doc: "How many connections to the database one copy of the server has at most. Empty: four for each processor.",
			set: number(func(s *setting) *int { return &s.MaxConns })},
		{path: "database.migrate", value: "auto", doc: "auto: bring the database up to date at the start. check: refuse to start if it is not.",
			set: choice(func(s *setting, v string) { s.NoMigrate = v == "check" }, "auto", "check")},

		{path: "signing.rotate_every", value: "90d", doc: "How long a signing key signs before the next one takes over.",
			set: duration(func(s *setting) *time.Duration { return &s.RotateEvery })},
		{path: "tokens.access_ttl", value: "5m", doc: "The life of an access token.",
			set: duration(func(s *setting) *time.Duration { return &s.AccessTTL })},
		{path: "tokens.id_ttl", value: "5m", doc: "The life of an ID token.",
			set: duration(func(s *setting) *time.Duration { return &s.IDTTL })},
		{path: "tokens.code_ttl", value: "60s", doc: "The life of an authorization code.",
			set: duration(func(s *setting) *time.Duration { return &s.CodeTTL })},
		{path: "tokens.refresh_idle", value: "30d", doc: "How long after its last use a refresh token is good.",
			set: duration(func(s *setting) *time.Duration { return &s.RefreshIdle })},
		{path: "tokens.refresh_max", value: "90d", doc: "How long after the sign-in refresh tokens are good at most.",
			set: duration(func(s *setting) *time.Duration { return &s.RefreshMax })},
		{path: "tokens.refresh_reuse_grace", value: "2m", doc: "How long a refresh token that was just used gets the same successor again, because an answer can be lost.",
			set: duration(func(s *setting) *time.Duration { return &s.RefreshGrace })},
		{path: "tokens.request_ttl", value: "30m", doc: "How long a person has to sign in and consent.",
			set: duration(func(s *setting) *time.Duration { return &s.RequestTTL })},

		{path: "sessions.idle", value: "12h", doc: "How long after it was last seen a browser stays signed in.",
			set: duration(func(s *setting) *time.Duration { return &s.SessionIdle })},
		{path: "sessions.max", value: "30d", doc: "How long after the sign-in a browser stays signed in at most.",
			set: duration(func(s *setting) *time.Duration { return &s.SessionMax })},
		{path: "keys.max_life", value: "366d", doc: "How long an API key may be good at most, when it is made, changed or replaced. Those that there are stay as they are.",
			set: duration(func(s *setting) *time.Duration { return &s.KeyLife })},
		{path: "keys.max_per_owner", value: "1000", doc: "How many API keys a person or a service account may have, of those that are good or were made in the last day.",
			set: number(func(s *setting) *int { return &s.KeysPerOwner })},
		{path: "keys.own_scopes", list: true, doc: "What people may let API keys do that they make for themselves. Empty: such a key says who it is, and no more.",
			set: list(func(s *setting) *[]string { return &s.OwnKeyScopes })},
		{path: "keys.own_audience", list: true, doc: "The services (resources) that API keys are for which people make for themselves.",
			set: list(func(s *setting) *[]string { return &s.OwnKeyAudience })},
		{path: "keys.quota_outage", value: "closed", doc: "What becomes of API keys with a quota while the database can not be reached: closed: 503, once what this copy has borrowed is spent. open: they pass, uncounted.",
			set: choice(func(s *setting, v string) { s.QuotaOpen = v == "open" }, "closed", "open")},
		{path: "leaks.secret", secret: true, doc: "Who signs with it may report leaked API keys at /api/v1/leaks. Empty: a report needs an API key, or a signature as below.",
			set: text(func(s *setting) *string { return &s.LeakSecret })},
		{path: "leaks.github_keys", doc: "A PEM file with the public keys (ECDSA) of those who report leaked API keys as GitHub's secret scanning does.",
			set: text(func(s *setting) *string { return &s.LeakKeys })},
		{path: "leaks.github_keys_url", doc: "Where more of them are published: https://api.github.com/meta/public_keys/secret_scanning for GitHub. Empty: nowhere.",
			set: text(func(s *setting) *string { return &s.LeakKeysURL })},
		{path: "notices.url", doc: "An https:// address that is told of API keys that leaked, were disabled because nobody used them, or expire soon.",
			set: text(func(s *setting) *string { return &s.NoticeURL })},
		{path: "notices.secret", secret: true, doc: "Signs what is sent to notices.url, in the header Mintmark-Signature.",
			set: text(func(s *setting) *string { return &s.NoticeSecret })},
		{path: "sign_in.hash_slots", doc: "How many passwords are hashed at the same time, 19 MiB each. Empty: one for each processor.",
			set: number(func(s *setting) *int { return &s.HashSlots })},

		{path: "clients.jwks_hosts", list: true, doc: "Hosts (HOST or HOST:PORT) that a client's jwks_uri may name although their address is not public.",
			set: list(func(s *setting) *[]string { return &s.FetchAllow })},
		{path: "providers.hosts", list: true, doc: "Hosts (HOST or HOST:PORT) that an upstream provider may be at although their address is not public. Not needed if the provider's own URL has that address in it.",
			set: list(func(s *setting) *[]string { return &s.ProviderHosts })},
		{path: "branding.name", value: "Mintmark", doc: "What the pages call this server.",
			set: text(func(s *setting) *string { return &s.Name })},

		{path: "shutdown.delay", value: "2s", doc: "How long /readyz says no before the listener closes, so that a balancer sees it. At least two of its probe periods.",
			set: drainDelay},
		{path: "log.level", value: "info", flag: "log-level", doc: "debug, info, warn or error.",
			set: func(s *setting, v string) error { return s.logLevel.UnmarshalText([]byte(v)) }},
		{path: "log.format", value: "auto", flag: "log-format", doc: "text, json, or auto: text on a terminal, else json.",
			set: choice(func(s *setting, v string) { s.logFormat = v }, "auto", "text", "json")},
	}, providerKeys()...)
}

func text(field func(*setting) *string) func(*setting, string) error {
	return func(s *setting, v string) error { *field(s) = v; return nil }
}

func list(field func(*setting) *[]string) func(*setting, string) error {
	return func(s *setting, v string) error { *field(s) = split(v); return nil }
}

func number(field func(*setting) *int) func(*setting, string) error {
	return func(s *setting, v string) (err error) {
		if *field(s), err = strconv.Atoi(v); err != nil || *field(s) < 1 {
			return errors.New("must be a whole number above zero")
		}
		return nil
	}
}

func duration(field func(*setting) *time.Duration) func(*setting, string) error {
	return func(s *setting, v string) (err error) {
		if *field(s), err = parseDuration(v); err == nil && *field(s) <= 0 {
			err = errors.New("must be longer than nothing")
		}
		return err
	}
}

func drainDelay(s *setting, v string) error {
	d, err := parseDuration(v)
	if d == 0 {
		d = -1 // to server.Config, zero is the default
	}
	s.DrainDelay = d
	return err
}

func choice(use func(*setting, string), values ...string) func(*setting, string) error {
	return func(s *setting, v string) error {
		if !slices.Contains(values, v) {
			return fmt.Errorf("must be one of %s", strings.Join(values, ", "))
		}
		use(s, v)
		return nil
	}
}

func masterKeys(use func(*setting, [][]byte)) func(*setting, string) error {
	return func(s *setting, v string) error {
		var keys [][]byte
		for _, one := range split(v) {
			k, err := secret.ParseMasterKey(one)
			if err != nil {
				return err
			}
			keys = append(keys, k)
		}
		use(s, keys)
		return nil
	}
}

func trustedProxies(s *setting, v string) error {
	s.TrustedProxies = nil
	for _, one := range split(v) {
		network, err := netip.ParsePrefix(one)
		if err != nil {
			a, err := netip.ParseAddr(one)
			if err != nil {
				return fmt.Errorf("%q is not a network, such as 10.0.0.0/8", one)
			}
			network = netip.PrefixFrom(a, a.BitLen())
		}
		s.TrustedProxies = append(s.TrustedProxies, network.Masked())
	}
	return nil
}

// split cuts a list at commas and spaces.
func split(v string) []string {
	return strings.FieldsFunc(v, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\n' })
}

// parseDuration reads what time.ParseDuration does, and days: 90d, 1d12h.
func parseDuration(v string) (time.Duration, error) {
	wrong := errors.New("must be a duration, such as 90s, 5m, 12h or 30d")
	days, rest, found := strings.Cut(v, "d")
	if !found {
		days, rest = "0", v
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, wrong
	}
	d := time.Duration(n) * 24 * time.Hour
	if found && rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 {
		return 0, wrong
	}
	return d + more, nil
}

// logger returns the log that the configuration asks for.
func (s *setting) logger(to *os.File) *slog.Logger {
	info, err := to.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	inText := s.logFormat == "text" || s.logFormat != "json" && terminal
	s.journal = journal.NewWriter(to)
	return slog.New(journal.NewHandler(s.journal, s.logLevel, !inText))
}
