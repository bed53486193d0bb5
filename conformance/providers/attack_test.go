package providers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mintmark/conformance"
)

// The stories of this file are attacks that went through elsewhere: security.md 2.2, federation and
// linking. The provider speaks GitHub's language and is whoever the attacker wants.

// hub is who GitHub says has arrived.
func hub(s *shaped, id int, login, email string, verified bool) {
	s.becomes(map[string]any{"login": login, "id": id, "name": login, "email": nil},
		[]map[string]any{{"email": email, "primary": true, "verified": verified, "visibility": "private"}})
}

// refused fails the test unless the page is a refusal with a code and a request id, of which the log
// knows, and nobody is signed in.
func refused(t *testing.T, op *conformance.Server, p *conformance.Person, page conformance.Page, code string) {
	t.Helper()
	if page.Status < 400 || page.Status >= 500 || !page.Has("error") || !strings.Contains(page.Body, ">"+code+"<") {
		t.Errorf("want %s: %d at %s: %s", code, page.Status, page.URL, page.Body)
	}
	id := page.Header.Get("X-Request-Id")
	logged := false
	for end := time.Now().Add(10 * time.Second); !logged && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		logged = strings.Contains(op.Log(), id) // the line is written after the answer
	}
	if id == "" || !strings.Contains(page.Body, id) || !logged {
		t.Errorf("%s: the page or the log does not know the request %q", code, id)
	}
	if home := p.Visit(op.Issuer + "/"); home.Has("sign-out") {
		t.Errorf("%s, and somebody is signed in", code)
	}
}

func TestAnAddressOpensNothing(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		g, s := github(t, op)
		op.Run("providers", "set", "github", "--link-by", "verified-email", "--authoritative", "example.com")
		fresh := func() *conformance.Person { return conformance.NewPerson(t, "") }

		op.AddPerson("victim@example.com")
		t.Run("an unverified address of a victim at the provider", func(t *testing.T) {
			hub(s, 1, "mallory", "victim@example.com", false)
			p := fresh()
			page := g.arrive(t, p, op.Issuer+"/login")
			if strings.Contains(page.Body, "victim@example.com") {
				t.Errorf("an unverified address opened, or named, an account: %s", page.Body)
			}
		})
		t.Run("a verified address, without the password of the account", func(t *testing.T) {
			hub(s, 2, "mallory2", "victim@example.com", true)
			p := fresh()
			page := g.arrive(t, p, op.Issuer+"/login")
			if !page.Has("prove-submit") {
				t.Fatalf("%d %s", page.Status, page.Body)
			}
			if wrong := p.Submit(page, "prove-submit", "password", "a guess"); wrong.Status != 422 || p.Visit(op.Issuer+"/").Has("sign-out") {
				t.Errorf("a guess: %d", wrong.Status)
			}
		})
		t.Run("pre-registration of the victim's address, which nobody verified", func(t *testing.T) {
			file := t.TempDir() + "/password"
			write(t, file, conformance.Password)
			op.Do("users", "add", "early@example.com", "--password-file", file)
			hub(s, 3, "early", "early@example.com", true)
			p := fresh()
			refused(t, op, p, g.arrive(t, p, op.Issuer+"/login"), "address_taken")

		})
		// The number is who they are.
		t.Run("a user name that passed to somebody else, and the address of who had it", func(t *testing.T) {
			hub(s, 10, "famous", "famous@elsewhere.example", true)
			p, q := fresh(), fresh()
			web := newApp(t, op)
			was, _ := web.tokens(g.arrive(t, p, web.request()).URL)
			hub(s, 11, "famous", "other@elsewhere.example", true)
			is, _ := web.tokens(g.arrive(t, q, web.request()).URL)
			if was["sub"] == is["sub"] {
				t.Error("a user name that was used again got the account of who had it before")
			}
			// And one with the address of that account does not get it either.
			hub(s, 12, "third", "famous@elsewhere.example", true)
			p = fresh()
			refused(t, op, p, g.arrive(t, p, op.Issuer+"/login"), "address_taken")
		})
	})
}

func TestWhatIsSwitchedOffMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		g, s := github(t, op)
		web := newApp(t, op)
		p := conformance.NewPerson(t, "")
		id, _ := web.tokens(g.arrive(t, p, web.request()).URL)

		t.Run("the account is disabled between start and callback", func(t *testing.T) {
			p := conformance.NewPerson(t, "")
			there := p.Click(p.Visit(op.Issuer+"/login"), "login-github")
			op.Run("users", "disable", id["sub"].(string))
			refused(t, op, p, g.through(t, p, there), "account_disabled")
			op.Run("users", "enable", id["sub"].(string))
		})
		t.Run("the provider is disabled between start and callback", func(t *testing.T) {
			p := conformance.NewPerson(t, "")
			there := p.Click(p.Visit(op.Issuer+"/login"), "login-github")
			calls := s.calls
			op.Run("providers", "set", "github", "--disabled")
			refused(t, op, p, g.through(t, p, there), "disabled_provider")
			if s.calls != calls {
				t.Error("the provider that is disabled was asked")
			}
			if page := p.Visit(op.Issuer + "/login"); page.Has("login-github") {
				t.Error("it is still offered")
			}
			refused(t, op, p, p.Visit(op.Issuer+"/login/github"), "unknown_provider")
		})
	})
}

// callbackOf goes to a provider and comes back to the address that it sends the browser to,
// without opening it.
func (g guest) callbackOf(t *testing.T, p *conformance.Person, address string) string {
	t.Helper()
	there := p.Click(p.Visit(address), "login-"+g.name)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(there.URL.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	to := resp.Header.Get("Location")
	if !strings.HasPrefix(to, address[:strings.Index(address, "/login")]) {
		t.Fatalf("the provider sends them to %q", to)
	}
	return to
}

// RFC 9700 2.1, 4.4, 4.7: the answer of a provider is for the browser that asked, once, and at the
// provider's own address.
func TestACallbackIsForOneBrowserOneProviderAndOneTime(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		g, s := github(t, op)
		d := discord(t, op)
		fresh := func() *conformance.Person { return conformance.NewPerson(t, "") }
		login := op.Issuer + "/login"

		// Login CSRF: the attacker's callback in the victim's browser.
		attacker, victim := fresh(), fresh()
		to := g.callbackOf(t, attacker, login)
		refused(t, op, victim, victim.Visit(to), "no_attempt")
		// Also of a victim who has just begun by themselves.
		mine := g.callbackOf(t, victim, login)
		refused(t, op, victim, victim.Visit(to), "no_attempt")
		swapped := with(t, mine, "code", param(t, to, "code"))
		calls := s.calls
		refused(t, op, victim, victim.Visit(swapped), "code_refused") // PKCE: the code was bought by another verifier
		if s.calls != calls+1 {
			t.Errorf("%d exchanges", s.calls-calls)
		}

		// Two providers: the state of one at the callback of the other.
		p := fresh()
		a, b := g.callbackOf(t, p, login), d.callbackOf(t, p, login)
		refused(t, op, p, p.Visit(strings.Replace(a, "/github/", "/discord/", 1)), "other_provider")
		refused(t, op, p, p.Visit(with(t, b, "state", param(t, a, "state"))), "other_provider")

		// Replayed: by the browser itself, and with its cookies by somebody else.
		p = fresh()
		to = g.callbackOf(t, p, login)
		copied := p.Clone(to)
		if page := p.Visit(to); !page.Has("sign-out") {
			t.Fatalf("the first time: %d %s", page.Status, page.Body)
		}
		refused(t, op, copied, copied.Visit(to), "used")

		// Junk, and a POST to a provider that answers by GET, from another site.
		for name, change := range map[string][]string{"no state": {"state", ""}, "another state": {"state", strings.Repeat("A", 44)}, "two codes": {"code", "a&code=b"}, "no code": {"code", ""}} {
			p := fresh()
			page := p.Visit(with(t, g.callbackOf(t, p, login), change...))
			if page.Status < 400 || page.Status >= 500 || !page.Has("error") || p.Visit(op.Issuer+"/").Has("sign-out") {
				t.Errorf("%s: %d %s", name, page.Status, page.Body)
			}
		}
		p = fresh()
		u, err := url.Parse(g.callbackOf(t, p, login))
		if err != nil {
			t.Fatal(err)
		}
		if page := p.Post(callback(op, "github"), u.Query()); page.Status < 400 || page.Status >= 500 || p.Visit(op.Issuer+"/").Has("sign-out") {
			t.Errorf("by POST: %d", page.Status)
		}

		// Linking: the attacker's identity is not linked to the victim who opens the callback.
		op.AddPerson("victim@example.com")
		victim = conformance.NewPerson(t, "victim@example.com")
		victim.Follow(victim.Visit(login))
		to = g.callbackOf(t, fresh(), login)
		if page := victim.Visit(to); !strings.Contains(page.Body, "no_attempt") {
			t.Errorf("%d %s", page.Status, page.Body)
		}
		if page := victim.Visit(op.Issuer + "/account"); !strings.Contains(page.Body, "No other provider is linked") {
			t.Errorf("something is linked: %s", page.Body)
		}
		// The page's own form, from another site.
		if page := victim.Post(op.Issuer+"/account", url.Values{"do": {"link"}, "provider": {"github"}}); page.Status != 403 {
			t.Errorf("a form of another site: %d", page.Status)
		}
	})
}

func param(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// with changes parameters of an address: name and value in turn, which is not escaped.
func with(t *testing.T, address string, changes ...string) string {
	t.Helper()
	path, query, _ := strings.Cut(address, "?")
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		for i := 0; i+1 < len(changes); i += 2 {
			if changes[i] == name {
				value = changes[i+1]
			}
		}
		pairs = append(pairs, fmt.Sprint(name, "=", value))
	}
	return path + "?" + strings.Join(pairs, "&")
}
