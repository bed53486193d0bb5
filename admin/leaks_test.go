package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
)

// report sends a body to the address for leaks, and returns the status and the labels.
func (op *operator) report(body string, headers map[string]string) (int, string, []string) {
	op.t.Helper()
	r, err := http.NewRequest("POST", op.url+"/api/v1/leaks", strings.NewReader(body))
	must(op.t, err)
	r.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	must(op.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(op.t, err)
	var found []struct{ Label, Token_Hash string }
	var labels []string
	if json.Unmarshal(text, &found) == nil {
		for _, f := range found {
			labels = append(labels, f.Label)
		}
	}
	return resp.StatusCode, string(text), labels
}

// What is found in public is revoked, whoever of the three reports it, and the answer is what GitHub
// expects: https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partner-program.
func TestLeaksAreReported(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		must(t, err)
		op.published = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		github := func(body, name string) map[string]string {
			digest := sha256.Sum256([]byte(body))
			signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			must(t, err)
			return map[string]string{apikeys.HeaderKeyID: name, apikeys.HeaderSignature: base64.StdEncoding.EncodeToString(signature)}
		}
		hmac := func(body, secret string, at time.Time) map[string]string {
			return map[string]string{apikeys.HeaderMAC: apikeys.MAC([]byte(secret), []byte(body), at)}
		}
		reporter := op.makeKey(apikeys.New{Scopes: []string{"keys:leak"}})
		now := time.Now()
		for _, tt := range []struct {
			name   string
			sign   func(body string) map[string]string
			status int
		}{
			{"by GitHub", func(b string) map[string]string { return github(b, "one") }, 200},
			{"with the operator's secret", func(b string) map[string]string { return hmac(b, "a secret of some length", now) }, 200},
			{"with an API key", func(string) map[string]string { return map[string]string{"Authorization": "ApiKey " + reporter} }, 200},
			{"by nobody", func(string) map[string]string { return nil }, 401},
			{"with a key that nobody published", func(b string) map[string]string { return github(b, "two") }, 401},
			{"with a signature of something else", func(b string) map[string]string { return github(b+" ", "one") }, 401},
			{"with another secret", func(b string) map[string]string { return hmac(b, "another", now) }, 401},
			{"with no secret", func(b string) map[string]string { return hmac(b, "", now) }, 401},
			{"long ago", func(b string) map[string]string { return hmac(b, "a secret of some length", now.Add(-10*time.Minute)) }, 401},
			{"without the scope", func(string) map[string]string {
				return map[string]string{"Authorization": "ApiKey " + op.makeKey(apikeys.New{Scopes: []string{"keys:write"}})}
			}, 403},
		} {
			leaked := op.makeKey(apikeys.New{Scopes: []string{"users:write"}})
			forged := op.apiKeys.Mint.Issue(secret.KindOrganizationKey, idOf(leaked)).Reveal()
			body, err := json.Marshal([]map[string]any{
				{"token": leaked, "type": "mintmark_api_key", "url": "https://github.example/a/b?x=" + leaked, "source": "content", "later": 1},
				{"token": forged, "type": "mintmark_api_key"}, {"token": "no key of anybody's", "type": "other"}})
			must(t, err)
			status, text, labels := op.report(string(body), tt.sign(string(body)))
			if status != tt.status {
				t.Errorf("%s: %d %s", tt.name, status, text)
			}
			if strings.Contains(text, leaked) || strings.Contains(op.log.String(), leaked) {
				t.Errorf("%s: the key is repeated", tt.name)
			}
			k := op.does("GET", "/keys/"+idOf(leaked), nil)
			events := op.does("GET", "/audit?ref="+idOf(leaked), nil)["items"].([]any)
			if status != 200 {
				if k["status"] != "active" || len(events) != 1 {
					t.Errorf("%s: the key is %s", tt.name, k["status"])
				}
				continue
			}
			newest := events[0].(map[string]any)
			if k["status"] != "leaked" || newest["action"] != "key.leak" || !strings.HasSuffix(newest["detail"].(string), "github.example/a/b") {
				t.Errorf("%s: the key is %s, %v", tt.name, k["status"], newest)
			}
			digest := sha256.Sum256([]byte(leaked))
			if strings.Join(labels, " ") != "true_positive false_positive false_positive" || !strings.HasPrefix(text, fmt.Sprintf(`[{"token_hash":"%x","token_type":"mintmark_api_key","label":"true_positive"},`, digest)) {
				t.Errorf("%s: %s", tt.name, text)
			}
			// GitHub reports again what it finds again.
			if _, _, labels = op.report(string(body), tt.sign(string(body))); labels[0] != "true_positive" {
				t.Errorf("%s, again: %v", tt.name, labels)
			}
			// The operator is told once, without the key.
			n, notice, some, err := op.apiKeys.NextNotice(t.Context(), time.Now())
			if err != nil || !some || n.Kind != apikeys.NoticeLeaked || n.Ref != idOf(leaked) || strings.Contains(string(notice), leaked) {
				t.Fatalf("%s: the notice is %s %v", tt.name, notice, err)
			}
			must(t, op.apiKeys.Told(t.Context(), n, true, time.Now()))
			if _, notice, some, _ := op.apiKeys.NextNotice(t.Context(), time.Now().Add(time.Hour)); some {
				t.Errorf("%s: another notice: %s", tt.name, notice)
			}
		}
		if op.fetched > 2 {
			t.Errorf("the keys of the reporters were fetched %d times in a moment", op.fetched)
		}
		many := "[" + strings.Repeat(`{"token":"x"},`, 500) + `{"token":"x"}]`
		if status, text, _ := op.report(many, hmac(many, "a secret of some length", now)); status != 422 {
			t.Errorf("501 at once: %d %s", status, text)
		}
		large := strings.Repeat(" ", 256<<10) + "[]"
		if status, text, _ := op.report(large, hmac(large, "a secret of some length", now)); status != 413 {
			t.Errorf("more than 256 KiB: %d %s", status, text)
		}
	})
}
