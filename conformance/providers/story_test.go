package providers_test

import (
	"encoding/json"
	"strings"
	"testing"

	"mintmark/conformance"
)

// Issue 5, show 1: a person signs in through each provider.
func TestAPersonArrivesFromEachProvider(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		web := newApp(t, op)
		for _, g := range everybody(t, op) {
			t.Run(g.name, func(t *testing.T) {
				p := conformance.NewPerson(t, "")
				page := g.arrive(t, p, web.request())
				id, info := web.tokens(page.URL)
				amr, _ := json.Marshal(id["amr"])
				if id["idp"] != g.name || id["acr"] != "urn:mintmark:acr:federated" || !strings.HasPrefix(string(amr), `["fed"`) {
					t.Errorf("the ID token says idp=%v acr=%v amr=%s", id["idp"], id["acr"], amr)
				}
				// None of them is to be believed about its address: no row says so.
				if info["email"] != g.email || info["email_verified"] != false || info["name"] == nil {
					t.Errorf("userinfo says %v, and not %s, unverified", info, g.email)
				}

				// Another browser, the same account; and straight there.
				q := conformance.NewPerson(t, "")
				again, _ := web.tokens(g.through(t, q, q.Visit(web.request("idp_hint", g.name))).URL)
				if again["sub"] != id["sub"] {
					t.Errorf("the next time they are %v and not %v", again["sub"], id["sub"])
				}

				// OpenID Connect Core 3.1.2.1, prompt=login: it happens there, or it is refused.
				page = p.Visit(web.request("prompt", "login", "max_age", "0"))
				if page.Has("login-"+g.name) != g.says {
					t.Fatalf("offered for prompt=login: %v", page.Has("login-"+g.name))
				}
				if !g.says {
					return
				}
				there := p.Click(page, "login-"+g.name)
				if there.URL.Hostname() != "localhost" {
					t.Fatalf("%s let them pass: %s", g.name, there.URL)
				}
				next, _ := web.tokens(g.through(t, p, there).URL)
				if next["sub"] != id["sub"] || next["auth_time"].(float64) < id["auth_time"].(float64) {
					t.Errorf("signed in again as %v at %v", next["sub"], next["auth_time"])
				}
			})
		}
	})
}

// Whoever signs in to us signs in to all: the account page has them side by side.
func TestOnePersonWithEachProvider(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		op.AddPerson("root@example.com")
		p := conformance.NewPerson(t, "root@example.com")
		p.Follow(p.Visit(op.Issuer + "/login"))
		guests := everybody(t, op)
		for _, g := range guests {
			page := g.through(t, p, p.Submit(p.Visit(op.Issuer+"/account"), "link-"+g.name))
			if !strings.HasSuffix(page.URL.Path, "/account") || !strings.Contains(page.Body, g.email) {
				t.Fatalf("%s: %s %s", g.name, page.URL, page.Body)
			}
		}
		for _, g := range guests {
			q := conformance.NewPerson(t, "")
			if page := g.arrive(t, q, op.Issuer+"/login"); !strings.Contains(page.Body, "root@example.com") {
				t.Errorf("%s signs in somebody else: %s", g.name, page.Body)
			}
		}
		page := p.Visit(op.Issuer + "/account")
		for range guests {
			page = p.Submit(page, "unlink-0")
		}
		if page.Has("unlink-0") || !strings.Contains(page.Body, "No other provider is linked") {
			t.Errorf("after unlinking all: %s", page.Body)
		}
	})
}
