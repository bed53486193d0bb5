package oidf_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mintmark/conformance"
)

const person = "conformance@example.com"

// server runs the program over TLS, which the suite insists on, with one person who has every claim.
func server(t *testing.T) *conformance.Server {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	op := conformance.Start(t, "", "--tls-cert", certFile, "--tls-key", keyFile)
	op.AddPerson(person)
	return op
}

func clients(s suite, op *conformance.Server, alias string) map[string]any {
	back := s.base + "/test/a/" + alias + "/callback"
	out := s.base + "/test/a/" + alias + "/post_logout_redirect"
	add := func(name string, flags ...string) map[string]any {
		c := op.AddClient(name, "web", append([]string{"--redirect", back, "--post-logout-redirect", out,
			"--require-pkce=false", "--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "address",
			"--scope", "phone", "--scope", "offline_access"}, flags...)...)
		return map[string]any{"client_id": c.ID, "client_secret": c.Secret}
	}
	return map[string]any{
		"client":             add("first"),
		"client2":            add("second"),
		"client_secret_post": add("post", "--auth-method", "client_secret_post"),
	}
}

type commands [][]any

func task(name, match string, optional bool, cmds commands) map[string]any {
	made := map[string]any{"task": name, "match": match, "optional": optional}
	if cmds != nil {
		made["commands"] = cmds
	}
	return made
}

func config(s suite, op *conformance.Server, alias string) map[string]any {
	login := task("Login", op.Issuer+"/login*", true, commands{
		{"text", "name", "username", person, "optional"},
		{"text", "name", "password", conformance.Password, "optional"},
		{"click", "id", "login-submit"}})
	loginShown := task("Login", op.Issuer+"/login*", true, commands{
		{"wait", "xpath", "//*", 10, "Sign in", "update-image-placeholder-optional"},
		{"text", "name", "username", person, "optional"},
		{"text", "name", "password", conformance.Password, "optional"},
		{"click", "id", "login-submit"}})
	consent := task("Consent", op.Issuer+"/consent*", true, commands{{"click", "id", "consent-approve"}})
	back := task("Verify complete", "*/test/a/*/callback*", false, commands{{"wait", "id", "submission_complete", 10}})
	authorize := func(tasks ...any) map[string]any {
		return map[string]any{"match": op.Issuer + "/authorize*", "tasks": tasks}
	}
	page := func(words string) map[string]any {
		return task("Expect a page", op.Issuer+"/*", false, commands{{"wait", "xpath", "//*", 10, words, "update-image-placeholder"}})
	}
	signIn := authorize(login, consent, back)
	logout := func(tasks ...any) map[string]any {
		return map[string]any{"match": op.Issuer + "/end_session*", "tasks": tasks}
	}
	confirm := task("Confirm", op.Issuer+"/logout*", true, commands{{"click", "id", "logout-confirm", "optional"}})
	stays := func(words string) map[string]any {
		return map[string]any{"browser": []any{signIn, logout(page(words))}}
	}
	asks := map[string]any{"browser": []any{signIn, logout(confirm, page("You are signed out"))}}
	c := map[string]any{
		"alias":   alias,
		"server":  map[string]any{"discoveryUrl": op.Issuer + "/.well-known/openid-configuration"},
		"options": map[string]any{"browsercontrol_css_enable": false},
		"browser": []any{signIn, logout(confirm,
			task("Verify complete", "*/test/a/*/post_logout_redirect*", false, nil))},
		"override": map[string]any{
			"oidcc-prompt-login":                                                map[string]any{"browser": []any{authorize(loginShown, consent, back)}},
			"oidcc-max-age-1":                                                   map[string]any{"browser": []any{authorize(loginShown, consent, back)}},
			"oidcc-ensure-registered-redirect-uri":                              map[string]any{"browser": []any{authorize(page("redirect_uri is not registered"))}},
			"oidcc-ensure-request-object-with-redirect-uri":                     map[string]any{"browser": []any{authorize(page("redirect_uri is not registered"))}},
			"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri":            stays("post_logout_redirect_uri is not registered"),
			"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": stays("post_logout_redirect_uri is not registered"),
			"oidcc-rp-initiated-logout-modified-id-token-hint":                  stays("id_token_hint is not valid"),
			"oidcc-rp-initiated-logout-bad-id-token-hint":                       stays("id_token_hint is not valid"),
			"oidcc-rp-initiated-logout-no-id-token-hint":                        stays("id_token_hint is required"),
			"oidcc-rp-initiated-logout-no-params":                               asks,
			"oidcc-rp-initiated-logout-no-post-logout-redirect-uri":             asks,
			"oidcc-rp-initiated-logout-only-state":                              asks,
		},
	}
	for name, made := range clients(s, op, alias) {
		c[name] = made
	}
	return c
}

func TestConfigOP(t *testing.T) {
	s := theSuite(t)
	s.judge("oidcc-config-certification-test-plan", nil, config(s, server(t), "mintmark-config"))
}

func TestBasicOP(t *testing.T) {
	s := theSuite(t)
	s.judge("oidcc-basic-certification-test-plan",
		map[string]string{"server_metadata": "discovery", "client_registration": "static_client"},
		config(s, server(t), "mintmark-basic"))
}

func TestFormPostOP(t *testing.T) {
	s := theSuite(t)
	s.judge("oidcc-formpost-basic-certification-test-plan",
		map[string]string{"server_metadata": "discovery", "client_registration": "static_client"},
		config(s, server(t), "mintmark-formpost"))
}

func TestRPInitiatedLogoutOP(t *testing.T) {
	s := theSuite(t)
	s.judge("oidcc-rp-initiated-logout-certification-test-plan",
		map[string]string{"response_type": "code", "client_registration": "static_client"},
		config(s, server(t), "mintmark-logout"))
}
