package server

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage/storagetest"
	"mintmark/upstream"
)

// A change of a provider is heard of by every copy within a second, whatever its caches hold.
func TestOtherCopiesHearOfAProvider(t *testing.T) {
	onEach(t, func(t *testing.T, all []*Server) {
		rows := all[0].db.Upstream()
		p := upstream.Provider{ID: secret.NewID("prv"), Name: "corp", Kind: "oidc", Issuer: "https://corp.example", ClientID: "us", UpdatedAt: time.Now().Truncate(time.Microsecond)}
		everywhere := func(what string, holds func(list []upstream.Provider) bool) {
			t.Helper()
			began := time.Now()
			for _, s := range all[1:] {
				for {
					list, err := s.upstream.Enabled(t.Context(), time.Now())
					if err != nil || time.Since(began) > 20*time.Second {
						t.Fatalf("%s: %v, %v", what, list, err)
					}
					if holds(list) {
						break
					}
					time.Sleep(time.Millisecond)
				}
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s took %s", what, took)
			}
		}
		event := func(action string) apikeys.Event { return apikeys.By{}.Event(action, p.ID, "") }
		everywhere("none at the start", func(list []upstream.Provider) bool { return len(list) == 0 })
		if err := rows.AddProvider(t.Context(), p, event("provider.add")); err != nil {
			t.Fatal(err)
		}
		everywhere("adding", func(list []upstream.Provider) bool { return len(list) == 1 })
		off := p
		off.DisabledAt, off.UpdatedAt = p.UpdatedAt, p.UpdatedAt.Add(time.Second)
		if err := rows.SetProvider(t.Context(), off, p, event("provider.disable")); err != nil {
			t.Fatal(err)
		}
		everywhere("disabling", func(list []upstream.Provider) bool { return len(list) == 0 })
	})
}

// docs/how-to/providers.md, "In the configuration".
func TestProvidersOfTheConfiguration(t *testing.T) {
	for name, at := range map[string]func(testing.TB) string{"sqlite": storagetest.SQLite, "postgres": storagetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			database := at(t)
			log := &log{}
			starts := func(of map[string]ConfiguredProvider) *Server {
				t.Helper()
				s, l := start(t, func(c *Config) { c.Database, c.MaxConns, c.Providers = database, 4, of })
				log = l
				return s
			}
			hub := func(s *Server) upstream.Provider {
				t.Helper()
				all, err := s.db.Upstream().Providers(t.Context())
				if err != nil || len(all) != 1 || all[0].Name != "github" {
					t.Fatalf("the providers are %v, %v", all, err)
				}
				return all[0]
			}
			change := func(s *Server, f func(p *upstream.Provider)) {
				t.Helper()
				was := hub(s)
				is := was
				f(&is)
				is.UpdatedAt = was.UpdatedAt.Add(time.Microsecond)
				if err := s.db.Upstream().SetProvider(t.Context(), is, was, apikeys.By{}.Event("provider.set", is.ID, "")); err != nil {
					t.Fatal(err)
				}
			}
			plain := func(p upstream.Provider) string {
				t.Helper()
				sealer, err := secret.NewSealer([]byte(strings.Repeat("\x07", 32)))
				if err != nil {
					t.Fatal(err)
				}
				text, err := sealer.Open(p.SealedSecret, upstream.SecretAAD(p.ID))
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			both := map[string]ConfiguredProvider{"github": {ClientID: "us", ClientSecret: "s1", Options: map[string]string{"host": "git.example"}}}

			// Copies that start at the same moment make one.
			var copies sync.WaitGroup
			for range 4 {
				copies.Go(func() {
					s, err := New(t.Context(), Config{
						Issuer: "http://localhost:8080", Database: database, MasterKeys: [][]byte{[]byte(strings.Repeat("\x07", 32))},
						Dev: true, Listen: "127.0.0.1:0", MaxConns: 2, Log: slog.New(slog.DiscardHandler), Providers: both,
					})
					if err != nil {
						t.Error(err)
						return
					}
					s.Close()
				})
			}
			copies.Wait()
			s := starts(both)
			made := hub(s)
			if made.Managed != "configuration" || made.ClientID != "us" || plain(made) != "s1" || made.Options["host"] != "git.example" || !made.Enabled() {
				t.Errorf("it became %+v", made)
			}

			// A start that changes nothing writes nothing, and keeps what an operator changed.
			change(s, func(p *upstream.Provider) { p.LinkBy, p.Title, p.Options["auth"] = "verified-email", "Hub", "post" })
			changed := hub(s)
			if again := hub(starts(both)); again.UpdatedAt != changed.UpdatedAt || again.LinkBy != "verified-email" || again.Options["auth"] != "post" {
				t.Errorf("another start made it %+v", again)
			}
			both["github"] = ConfiguredProvider{ClientID: "us too", ClientSecret: "s2"}
			if next := hub(starts(both)); next.ID != made.ID || next.ClientID != "us too" || plain(next) != "s2" || next.Title != "Hub" || next.Options["host"] != "git.example" {
				t.Errorf("with another secret it is %+v", next)
			}

			// People are known by what one host calls them. Another host's people are others.
			for _, host := range []string{"other.example", ""} {
				moved := map[string]ConfiguredProvider{"github": {ClientID: "us too", ClientSecret: "s2", Options: map[string]string{"host": host}}}
				if _, err := New(t.Context(), Config{
					Issuer: "http://localhost:8080", Database: database, MasterKeys: [][]byte{[]byte(strings.Repeat("\x07", 32))},
					Dev: true, Listen: "127.0.0.1:0", MaxConns: 2, Log: slog.New(slog.DiscardHandler), Providers: moved,
				}); err == nil || !strings.Contains(err.Error(), "providers.github: host can't be changed") {
					t.Errorf("with the host %q: %v", host, err)
				}
			}

			// Disabled by hand, it stays so.
			change(s, func(p *upstream.Provider) { p.DisabledAt = p.UpdatedAt })
			if off := hub(starts(both)); off.Enabled() {
				t.Error("a start enabled what an operator has disabled")
			}
			change(s, func(p *upstream.Provider) { p.DisabledAt = time.Time{} })

			// Gone from the configuration it is disabled, with everything that it had; half of it is not enough.
			if gone := hub(starts(map[string]ConfiguredProvider{"github": {ClientID: "us too"}})); gone.Enabled() || gone.Managed != "withdrawn" {
				t.Errorf("without its secret it is %+v", gone)
			}
			if !strings.Contains(log.String(), "must both be set") {
				t.Error("nobody said why")
			}
			if back := hub(starts(both)); !back.Enabled() || back.Managed != "configuration" || back.ID != made.ID || back.Title != "Hub" {
				t.Errorf("back again it is %+v", back)
			}

			// A provider that somebody added by hand is left alone.
			change(s, func(p *upstream.Provider) { p.Managed = "" })
			both["github"] = ConfiguredProvider{ClientID: "third", ClientSecret: "s3"}
			if own := hub(starts(both)); own.ClientID != "us too" || plain(own) != "s2" || own.Managed != "" {
				t.Errorf("an operator's own became %+v", own)
			}
			if !strings.Contains(log.String(), "added by hand") {
				t.Error("nobody said that the configuration is not used")
			}
			if own := hub(starts(nil)); !own.Enabled() {
				t.Error("an operator's own was disabled")
			}

			events, err := s.apiKeys.Events(t.Context(), apikeys.Page{Limit: 100}, made.ID, true)
			if err != nil {
				t.Fatal(err)
			}
			var did []string
			for _, e := range events {
				if e.Actor == "configuration" {
					did = append(did, e.Action)
				}
			}
			if !slices.Equal(did, []string{"provider.add", "provider.set", "provider.disable", "provider.enable"}) {
				t.Errorf("the audit log has %v", did)
			}
			if strings.Contains(log.String(), "s3") {
				t.Error("the secret is in the log")
			}
		})
	}
}

func TestProvidersThatCanNotBe(t *testing.T) {
	c := Config{Issuer: "https://id.example", Database: "sqlite:x", MasterKeys: [][]byte{make([]byte, 32)}, Providers: map[string]ConfiguredProvider{
		"apple":   {ClientID: "us", ClientSecret: "hunter2"},
		"github":  {ClientID: "us", ClientSecret: "hunter2", Options: map[string]string{"host": "git example"}},
		"discord": {ClientID: "us", ClientSecret: "hunter2\n"},
		"gitlab":  {ClientID: "us"},
	}}
	err := c.Check()
	for _, want := range []string{"providers.apple: options need a ", "providers.github: options host must be", "providers.discord: client_secret has a control character"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "gitlab")) {
		t.Errorf("too much is said: %v", err)
	}
}

func TestAnOptionThatIsTakenOutIsGone(t *testing.T) {
	c := ConfiguredProvider{ClientID: "us", ClientSecret: "s", Options: map[string]string{"tenant": ""}}
	was := upstream.Provider{Options: map[string]string{"tenant": "common", "auth": "post"}}
	if is := c.made(was, "microsoft"); len(is.Options) != 1 || is.Options["auth"] != "post" || len(was.Options) != 2 {
		t.Errorf("it became %v, and was %v", is.Options, was.Options)
	}
}
