package server

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestIssuer(t *testing.T) {
	for _, tt := range []struct{ issuer, problem string }{
		{"https://id.example.com", ""},
		{"https://id.example.com:8443", ""},
		{"https://id.example.com/tenant", ""},
		{"http://localhost:8080", ""},
		{"http://127.0.0.1:8080/x", ""},
		{"http://[::1]:8080", ""},
		{"http://id.example.com", "http:// is for loopback only"},
		{"http://localhost.example.com", "http:// is for loopback only"},
		{"http://127.0.0.1.example.com", "http:// is for loopback only"},
		{"ftp://id.example.com", "https://"},
		{"id.example.com", "https://"},
		{"https://", "no host"},
		{"https://:443", "no host"},
		{"https://id.example.com/", "slash"},
		{"https://id.example.com/tenant/", "slash"},
		{"https://id.example.com?x=1", "no query"},
		{"https://id.example.com?", "no query"},
		{"https://id.example.com#x", "no query"},
		{"https://id.example.com#", "no query"},
		{"https://user@id.example.com", "user name"},
		{"https://ID.example.com", "lower case"},
		{"https://id.example.com/a//b", "plain"},
		{"https://id.example.com/a/../b", "plain"},
		{"https://id.example.com/a%2fb", "plain"},
		{"https://id.example.com/{x}", "plain"},
		{"https://id.example.com/ä", "plain"},
		{"https://id example.com", "not a URL"},
	} {
		err := checkIssuer(tt.issuer)
		switch {
		case tt.problem == "" && err != nil:
			t.Errorf("%s: %v", tt.issuer, err)
		case tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)):
			t.Errorf("%s: got %v, want something about %q", tt.issuer, err, tt.problem)
		}
	}
}

func TestEverythingThatIsWrongIsToldAtOnce(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	for _, tt := range []struct {
		name string
		cfg  Config
		want []string
	}{
		{"nothing is set", Config{}, []string{"issuer is not set", "database.url is not set", "secrets.encryption_key is not set", "mintmark secrets new"}},
		{"the wrong database", Config{Issuer: "https://a.example", Database: "mysql://root:hunter2@x", MasterKeys: [][]byte{key}}, []string{"neither sqlite: nor postgres://"}},
		{"no file", Config{Issuer: "https://a.example", Database: "sqlite:", MasterKeys: [][]byte{key}}, []string{"names no file"}},
		{"a short key", Config{Issuer: "https://a.example", Database: "sqlite:x", MasterKeys: [][]byte{key, key[:31]}}, []string{"master key 2 has 31 bytes"}},
		{"half of a certificate", Config{Issuer: "https://a.example", Database: "sqlite:x", MasterKeys: [][]byte{key}, TLSCert: "x"}, []string{"go together"}},
		{"RFC 6749 4.1.2, a long code", Config{Issuer: "https://a.example", Database: "sqlite:x", MasterKeys: [][]byte{key}, CodeTTL: time.Hour}, []string{"tokens.code_ttl is 1h"}},
		{"development for others", Config{Dev: true, Issuer: "https://a.example", Listen: ":8080", Database: "sqlite:x", MasterKeys: [][]byte{key}},
			[]string{"must be on this machine", "listens on this machine only"}},
	} {
		err := tt.cfg.Check()
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %v", tt.name, want, err)
			}
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines < len(tt.want)-1 {
			t.Errorf("%s: only %d lines", tt.name, lines)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: a password is repeated: %v", tt.name, err)
		}
	}
	good := Config{Issuer: "https://a.example", Database: "sqlite:x", MasterKeys: [][]byte{key}}
	if err := good.Check(); err != nil {
		t.Errorf("the least that is needed: %v", err)
	}
}
