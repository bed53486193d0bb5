package examples_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mintmark/conformance"
)

const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// TestTheConnector: a ticket of a help desk becomes a token of ours with the limits that the help desk
// names; and the help desk answers nobody whose question is not signed.
func TestTheConnector(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "desk.secret")
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := free(t)
	desk := start(t, node(t, "connector", "standardwebhooks"), at, "LISTEN="+at, "SECRET_FILE="+secret)
	op := conformance.Start(t, "")
	op.Do("providers", "add", "desk", "--kind", "connector", "--connector-url", desk, "--client-secret-file", secret)
	app := op.AddClient("chat", "web", "--redirect", "http://127.0.0.1:3000/callback", "--consent", "never", "--scope", "openid", "--scope", "email",
		"--grant", "authorization_code", "--grant", exchange)

	status, got := form(t, op, app, url.Values{"grant_type": {exchange}, "subject_token": {"ticket-of-ada"},
		"subject_token_type": {"urn:mintmark:token-type:external"}, "subject_issuer": {"desk"}}, "/oauth/token")
	if status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	_, about := form(t, op, app, url.Values{"token": {got["access_token"].(string)}}, "/introspect")
	if limits, _ := about["limits"].(map[string]any); limits["messages"] != 100.0 || limits["plan"] != "pro" {
		t.Errorf("%v", about)
	}
	if status, got := form(t, op, app, url.Values{"grant_type": {exchange}, "subject_token": {"ticket-of-eve"},
		"subject_token_type": {"urn:mintmark:token-type:external"}, "subject_issuer": {"desk"}}, "/oauth/token"); status != 400 {
		t.Errorf("a ticket of nobody: %d %v", status, got)
	}

	resp, err := http.Post(desk, "application/json", strings.NewReader(`{"type":"identify","token":"ticket-of-ada"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 401 || strings.Contains(string(text), "ada") {
		t.Errorf("without a signature: %d %s", resp.StatusCode, text)
	}
}

// form sends a form as a client.
func form(t *testing.T, op *conformance.Server, c conformance.Client, values url.Values, path string) (status int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequest("POST", op.Issuer+path, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}
