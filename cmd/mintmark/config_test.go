package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/server"
)

// configure loads a configuration as `serve` does.
func configure(t *testing.T, file string, environ []string, flags ...string) (*setting, error) {
	t.Helper()
	c := serveCommand()
	if file != "" {
		name := filepath.Join(t.TempDir(), "mintmark.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		flags = append(flags, "--config", name)
	}
	if err := c.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	return load(c, environ)
}

func key32(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func TestDefaultsThenFileThenEnvironmentThenFlags(t *testing.T) {
	file := "issuer: https://file.example\nlisten: :1\ntokens:\n  access_ttl: 1m\n  id_ttl: 2m\n"
	env := []string{"MINTMARK_ISSUER=https://env.example", "MINTMARK_TOKENS_ID_TTL=3m", "PATH=/bin", "MINTMARK_ADMIN_LISTEN="}
	s, err := configure(t, file, env, "--issuer", "https://flag.example")
	if err != nil {
		t.Fatal(err)
	}
	if s.Issuer != "https://flag.example" || s.Listen != ":1" || s.AccessTTL != time.Minute || s.IDTTL != 3*time.Minute {
		t.Errorf("got %s %s %s %s", s.Issuer, s.Listen, s.AccessTTL, s.IDTTL)
	}
	if s, err = configure(t, "", nil); err != nil || s.Issuer != "" || s.AccessTTL != 0 {
		t.Errorf("nothing is configured: %+v %v", s, err)
	}
}

func TestEveryKeyCanBeSetInEveryPlace(t *testing.T) {
	example := map[string]string{
		"trusted_proxies": "10.0.0.0/8,192.168.1.1", "secrets.encryption_key": key32(1), "secrets.previous_encryption_keys": key32(2) + "," + key32(3),
		"database.max_conns": "7", "database.migrate": "check", "sign_in.hash_slots": "3", "clients.jwks_hosts": "keys.internal:8443,other",
		"keys.max_life": "30d", "keys.own_scopes": "orders:read,orders:write", "leaks.secret": "a-long-enough-secret", "notices.secret": "another-secret-as-long",
		"notices.url": "https://hooks.example/x", "leaks.github_keys_url": "https://keys.example/x", "keys.max_per_owner": "5", "keys.quota_outage": "open",
		"log.level": "debug", "log.format": "text", "shutdown.delay": "0s",
	}
	for _, k := range allKeys() {
		value := example[k.path]
		switch {
		case value != "":
		case strings.Contains(k.path, "_ttl") || strings.HasPrefix(k.path, "sessions.") || k.path == "signing.rotate_every" || strings.HasPrefix(k.path, "tokens."):
			value = "36h"
		default:
			value = "some-text"
		}
		base := "MINTMARK_SECRETS_ENCRYPTION_KEY=" + key32(9) // without it, older keys mean nothing
		if k.path == "secrets.encryption_key" {
			base = "X=1"
		}
		without, err := configure(t, "", []string{base})
		if err != nil {
			t.Fatal(err)
		}
		section, name, _ := strings.Cut(k.path, ".")
		yaml := section + ": \"" + value + "\"\n"
		if name != "" {
			yaml = section + ":\n  " + name + ": \"" + value + "\"\n"
		}
		secretFile := filepath.Join(t.TempDir(), "value")
		if err := os.WriteFile(secretFile, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		inFile, err := configure(t, yaml, []string{base})
		if err != nil {
			t.Errorf("%s in the file: %v", k.path, err)
			continue
		}
		if reflect.DeepEqual(inFile, without) {
			t.Errorf("%s in the file changes nothing", k.path)
		}
		inEnv, err := configure(t, "", []string{base, k.env() + "=" + value})
		if err != nil || !reflect.DeepEqual(inFile, inEnv) {
			t.Errorf("%s is another thing in the environment: %v", k.path, err)
		}
		fromFile, err := configure(t, "", []string{base, k.env() + "_FILE=" + secretFile})
		if err != nil || !reflect.DeepEqual(inFile, fromFile) {
			t.Errorf("%s_FILE is another thing: %v", k.env(), err)
		}
		if k.flag != "" {
			inFlag, err := configure(t, "", []string{base}, "--"+k.flag, value)
			if err != nil || !reflect.DeepEqual(inFile, inFlag) {
				t.Errorf("--%s is another thing: %v", k.flag, err)
			}
		}
	}
}

func TestListsInTheFile(t *testing.T) {
	s, err := configure(t, "trusted_proxies: [10.0.0.0/8, '192.168.1.7']\nclients:\n  jwks_hosts:\n  - a\n  - b:1\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.TrustedProxies) != 2 || s.TrustedProxies[1].String() != "192.168.1.7/32" || !slices.Equal(s.FetchAllow, []string{"a", "b:1"}) {
		t.Errorf("got %v %v", s.TrustedProxies, s.FetchAllow)
	}
}

// docs/how-to/providers.md: a provider is on when its id and its secret are there.
func TestProvidersInTheEnvironment(t *testing.T) {
	p8 := filepath.Join(t.TempDir(), "apple.p8")
	if err := os.WriteFile(p8, []byte("-----BEGIN\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := configure(t, "providers:\n  github:\n    host: git.example\n", []string{
		"MINTMARK_PROVIDERS_GOOGLE_CLIENT_ID=g", "MINTMARK_PROVIDERS_GOOGLE_CLIENT_SECRET=s", "MINTMARK_PROVIDERS_DISCORD_CLIENT_ID=",
		"MINTMARK_PROVIDERS_APPLE_CLIENT_ID=a", "MINTMARK_PROVIDERS_APPLE_CLIENT_SECRET_FILE=" + p8, "MINTMARK_PROVIDERS_APPLE_TEAM_ID=T", "MINTMARK_PROVIDERS_HOSTS=git.example",
	})
	want := map[string]server.ConfiguredProvider{
		"google": {ClientID: "g", ClientSecret: "s", Options: map[string]string{}},
		"github": {Options: map[string]string{"host": "git.example"}},
		"apple":  {ClientID: "a", ClientSecret: "-----BEGIN", Options: map[string]string{"team_id": "T", "key_id": ""}},
	}
	if err != nil || !reflect.DeepEqual(s.Providers, want) || !slices.Equal(s.ProviderHosts, []string{"git.example"}) {
		t.Errorf("got %v %v %v", s.Providers, s.ProviderHosts, err)
	}
	_, err = configure(t, "", []string{"MINTMARK_PROVIDERS_GOGLE_CLIENT_ID=g"})
	if err == nil || !strings.Contains(err.Error(), "did you mean MINTMARK_PROVIDERS_GOOGLE_CLIENT_ID?") {
		t.Errorf("a provider that there is not: %v", err)
	}
}

func TestMasterKeysInOrder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(key32(1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := configure(t, "secrets:\n  previous_encryption_keys: ["+key32(2)+"]\n  encryption_key: file:"+name+"\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.MasterKeys) != 2 || s.MasterKeys[0][0] != 1 || s.MasterKeys[1][0] != 2 {
		t.Errorf("got %d keys, in the wrong order", len(s.MasterKeys))
	}
	// Older keys alone must never seal.
	if s, err = configure(t, "secrets:\n  previous_encryption_keys: "+key32(2)+"\n", nil); err != nil || len(s.MasterKeys) != 0 {
		t.Errorf("an older key became the master key: %v", err)
	}
}

func TestWhatIsWrongNamesItsPlaceAndWhatWasMeant(t *testing.T) {
	for _, tt := range []struct {
		name string
		file string
		env  []string
		want []string
	}{
		{"a misspelt key", "issuer: https://a.example\ndatabase:\n  url: sqlite:x\n  max_con: 5\n", nil, []string{"mintmark.yaml:4:", `"database.max_con"`, "did you mean database.max_conns?"}},
		{"a misspelt section", "databse:\n  url: sqlite:x\n", nil, []string{"mintmark.yaml:2:", `"databse.url"`, "database.url"}},
		{"nothing like any key", "kubernetes: true\n", nil, []string{"mintmark.yaml:1:", `there is no key "kubernetes"`}},
		{"a key as a section", "issuer:\n  url: x\n", nil, []string{"issuer takes a single value"}},
		{"a section as a key", "database: sqlite:x\n", nil, []string{"mintmark.yaml:1:", "database is a section"}},
		{"a list for one value", "issuer: [a, b]\n", nil, []string{"issuer takes a single value"}},
		{"a repeated key", "issuer: https://a.example\nissuer: https://b.example\n", nil, []string{"not YAML", `"issuer"`, "already defined"}},
		{"not YAML", "issuer: [\n", nil, []string{"is not YAML"}},
		{"another document", "issuer: https://a.example\n---\nlisten: :1\n", nil, []string{"one document"}},
		{"only text", "hello\n", nil, []string{"mintmark.yaml:1:", "list of keys and values"}},
		{"an anchor", "issuer: &x https://a.example\nlisten: *x\n", nil, []string{"takes a single value"}},
		{"not a duration", "tokens:\n  access_ttl: 5 minutes\n", nil, []string{"mintmark.yaml:2:", "tokens.access_ttl", `"5 minutes"`, "5m"}},
		{"a duration of nothing", "tokens:\n  access_ttl: 0s\n", nil, []string{"tokens.access_ttl", "longer than nothing"}},
		{"a negative duration", "tokens:\n  access_ttl: -5m\n", nil, []string{"tokens.access_ttl", "must be"}},
		{"not a number", "database:\n  max_conns: many\n", nil, []string{"database.max_conns", "whole number"}},
		{"not a choice", "database:\n  migrate: yes\n", nil, []string{"database.migrate", "auto, check"}},
		{"not a network", "trusted_proxies: [10.0.0.0/33]\n", nil, []string{"trusted_proxies", "10.0.0.0/33"}},
		{"two things at once", "databse:\n  url: x\nlog:\n  levl: info\n", []string{"MINTMARK_ISUER=x"}, []string{"database.url", "log.level", "MINTMARK_ISUER", "did you mean MINTMARK_ISSUER?"}},
		{"a misspelt name", "", []string{"MINTMARK_TOKENS_ACESS_TTL=5m"}, []string{"MINTMARK_TOKENS_ACESS_TTL", "did you mean MINTMARK_TOKENS_ACCESS_TTL?"}},
		{"both ways", "", []string{"MINTMARK_ISSUER=x", "MINTMARK_ISSUER_FILE=/x"}, []string{"both MINTMARK_ISSUER and MINTMARK_ISSUER_FILE"}},
		{"no such file", "", []string{"MINTMARK_ISSUER_FILE=/nowhere/x"}, []string{"MINTMARK_ISSUER_FILE", "/nowhere/x"}},
		{"no such configuration", "", []string{"MINTMARK_CONFIG=/nowhere/x.yaml"}, []string{"can not be read", "/nowhere/x.yaml"}},
		{"a secret is not repeated", "secrets:\n  encryption_key: hunter2\n", nil, []string{"mintmark.yaml:2:", "secrets.encryption_key", "mintmark secrets new"}},
		{"a secret in broken YAML is not shown", "secrets:\n  encryption_key: hunter2\n  x: [\n", nil, []string{"is not YAML"}},
	} {
		_, err := configure(t, tt.file, tt.env)
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in: %v", tt.name, want, err)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is repeated: %v", tt.name, err)
		}
	}
}

func TestNamesThatMeanSomethingElseAreLeftAlone(t *testing.T) {
	_, err := configure(t, "", []string{
		"MINTMARK_SERVER=x", "MINTMARK_TOKEN=x", "MINTMARK_TOKEN_FILE=x", "MINTMARK_DATA=x", "MINTMARK_REQUIRE_POSTGRES=1",
		// What Kubernetes sets for a service that is called mintmark.
		"MINTMARK_PORT=tcp://10.0.0.1:8080", "MINTMARK_PORT_8080_TCP_ADDR=10.0.0.1", "MINTMARK_SERVICE_HOST=10.0.0.1", "MINTMARK_SERVICE_PORT_HTTP=8080",
	})
	if err != nil {
		t.Error(err)
	}
	for _, k := range allKeys() {
		for _, prefix := range notKeyPrefixes {
			if strings.HasPrefix(k.env(), prefix) {
				t.Errorf("%s would never be read", k.env())
			}
		}
	}
}

func TestDatabaseURL(t *testing.T) {
	s, err := configure(t, "database:\n  url: sqlite:file\n", []string{"DATABASE_URL=postgres://a"})
	if err != nil || s.Database != "postgres://a" {
		t.Errorf("DATABASE_URL: %v %v", s, err)
	}
	s, err = configure(t, "", []string{"DATABASE_URL=postgres://a", "MINTMARK_DATABASE_URL=postgres://b"})
	if err != nil || s.Database != "postgres://b" {
		t.Errorf("our own name wins: %v %v", s, err)
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "1d12h": 36 * time.Hour, "5m": 5 * time.Minute, "60s": time.Minute, "0s": 0} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "5", "-1d", "1d-5h", "-5m", "1.5d", "99999999d", "5m1d"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// The defaults in the table are what the program does when nothing is set. It can't be seen from
// here, but that each is a value that the key takes can.
func TestDefaultsAreValues(t *testing.T) {
	for _, k := range allKeys() {
		if k.value == "" {
			continue
		}
		if _, err := configure(t, "", []string{k.env() + "=" + k.value}); err != nil {
			t.Errorf("%s: %v", k.path, err)
		}
	}
}

func TestTheReferenceIsTheTable(t *testing.T) {
	const page = "../../docs/reference/configuration.md"
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(page, []byte(keyReference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != keyReference() {
		t.Errorf("%s is not what the table says: run UPDATE=1 go test -run Reference ./cmd/mintmark", page)
	}
}

func TestALineOfTheLogHidesWhatIsCalledASecret(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &setting{}
	s.logger(w).Info("x", "password", "hunter2", "Authorization", "hunter2", "issuer", "https://a.example")
	w.Close()
	line := make([]byte, 1000)
	n, err := r.Read(line)
	if err != nil || strings.Contains(string(line[:n]), "hunter2") || !strings.Contains(string(line[:n]), `"issuer":"https://a.example"`) {
		t.Errorf("%s %v", line[:n], err)
	}
}
