package clients_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"mintmark/conformance"
)

const docs = "https://docs.example"

// What forward auth vouches for is a JWT like others, of a type of its own: a service behind a
// proxy needs nothing of ours to verify it.
func TestJoseVerifiesWhatForwardAuthVouchesFor(t *testing.T) {
	need(t, "node/node_modules/jose", npmInstall)
	tellVouched(t, "node", "node/jose.mjs", "auth+jwt")
}

func TestAuthlibVerifiesWhatForwardAuthVouchesFor(t *testing.T) {
	tellVouched(t, needAuthlib(t), "python/verify.py", "")
}

func tellVouched(t *testing.T, program, script, typ string) {
	each(t, func(t *testing.T, op *conformance.Server) {
		robot := op.Do("services", "add", "robot")["id"].(string)
		made := op.Do("keys", "add", "reader", "--owner", robot, "--scope", "docs:read", "--audience", docs)
		r, err := http.NewRequest("GET", op.Issuer+"/auth/verify?scope=docs:read&audience="+url.QueryEscape(docs), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "ApiKey "+made["key"].(string))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		vouched := resp.Header.Get("X-Auth-Token")
		if resp.StatusCode != 200 || vouched == "" {
			t.Fatalf("%s %v", resp.Status, resp.Header)
		}
		verify := func(token, audience string) ([]byte, error) {
			args := []string{script, op.Issuer, audience}
			if typ != "" {
				args = append(args, typ)
			}
			c := exec.Command(program, args...)
			c.Stdin = strings.NewReader(token)
			var said strings.Builder
			c.Stderr = &said
			out, err := c.Output()
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, said.String())
			}
			return out, err
		}
		out, err := verify(vouched, docs)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Header struct{ Alg, Typ string }
			Claims struct {
				Sub, Scope string
				Client     string `json:"client_id"`
				Method     string `json:"auth_method"`
			}
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		if c := got.Claims; got.Header.Typ != "auth+jwt" || c.Sub != robot || c.Client != made["id"] || c.Scope != "docs:read" || c.Method != "api-key" {
			t.Errorf("verified: %+v", got)
		}
		service := op.AddClient("robot", "service", "--scope", "docs:read", "--audience", docs)
		for name, bad := range map[string][2]string{
			"for another service":            {vouched, "https://other.example"},
			"changed":                        {vouched[:len(vouched)-8] + "AAAAAAAA", docs},
			"RFC 8725 3.11, an access token": {clientToken(t, op, service), docs},
		} {
			if out, err := verify(bad[0], bad[1]); err == nil {
				t.Errorf("%s: it takes %s", name, out)
			}
		}
	})
}
