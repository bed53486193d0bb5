package web

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mintmark/upstream"
)

// newSite returns a site for its pages alone: no handler of it may be called.
func newSite(t testing.TB) *Site {
	t.Helper()
	parsed, err := parsePages()
	if err != nil {
		t.Fatal(err)
	}
	assets, named, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	return &Site{Config: Config{Name: "Mintmark", Issuer: "https://id.example.com"}, host: "id.example.com",
		templates: parsed, assets: assets, named: named}
}

// A sample is a page with something on it.
type sample struct {
	name, template string
	page           any
	allow          allow
}

// samples is every page in every state that looks different, with what is hard on a page.
func (s *Site) samples() []sample {
	ada := person{Name: "Ada Lovelace", Email: "ada@example.com", Session: "ses_1"}
	orders := client{Name: "Orders", Host: "orders.example.com"}
	long := client{Name: strings.Repeat("Wirtschaftsprüfungsgesellschaft", 4), Host: strings.Repeat("very-long-label.", 8) + "example.com"}
	sealed := strings.Repeat("Jk3_", 200)
	title := func(t string) frame { return s.frame(t) }
	everything, offline := readScopes([]string{"openid", "profile", "email", "address", "phone", "offline_access", "orders:read"})
	little, _ := readScopes([]string{"openid", "email"})
	three := []provider{{"google", "Google", "/login/google?request=" + sealed}, {"github", "GitHub", "/login/github?request=" + sealed}, {"corp", "Example Corp", "/login/corp?request=" + sealed}}
	seen := at(time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC))
	login := func(p loginPage) loginPage {
		p.Action, p.Request = "/login", sealed
		if p.Title == "" {
			p.frame = title("Sign in")
		}
		return p
	}
	setup := func(blamed, text string) setupPage {
		p := setupPage{frame: title("Set up Mintmark"), Action: "/setup", Fields: slices.Clone(setupFields)}
		p.blame(blamed, text)
		return p
	}
	return []sample{
		{"login", "login", login(loginPage{Client: orders, Focus: "username"}), allow{form: "https://orders.example.com"}},
		{"login-alone", "login", loginPage{frame: title("Sign in"), Action: "/login", Focus: "username"}, allow{}},
		{"login-wrong", "login", login(loginPage{Client: orders, Username: "ada@example.com", Focus: "password",
			Problem: &problem{ID: "login-problem", Field: "password", Text: "The e-mail address or the password is wrong."}}), allow{}},
		{"login-too-many", "login", login(loginPage{Client: long, Username: strings.Repeat("ada", 60) + "@example.com", Focus: "password",
			Problem: &problem{ID: "login-problem", Text: "There were too many attempts. Try again in 14 minutes."}}), allow{}},
		{"login-again", "login", login(loginPage{frame: title("Sign in again"), Client: orders, Username: "ada@example.com", Focus: "password", Reauthenticate: true}), allow{}},
		{"login-choose", "login", login(loginPage{frame: title("Choose an account"), Client: orders, Continue: &ada}), allow{}},
		{"login-providers", "login", login(loginPage{Client: orders, Focus: "username", Providers: three}), allow{}},
		{"login-suggested", "login", login(loginPage{Client: orders, Username: "ada@corp.example", Focus: "password", Providers: three[:2], Suggested: &three[2], Domains: true,
			Problem: &problem{ID: "login-problem", Field: "password", Text: "The e-mail address or the password is wrong."}}), allow{}},
		{"login-many", "login", login(loginPage{Client: long, Focus: "username", Domains: true, Providers: []provider{{"x", strings.Repeat("Wirtschaftsprüfungsgesellschaft", 2), "/login/x?request=" + sealed}}}), allow{}},
		{"login-landing", "login", loginPage{frame: title("Sign in"), Action: "/login", Focus: "username", Client: client{"Orders", "orders.example"},
			To: upstream.Purpose{Client: "cli_1", Landing: "https://orders.example/login?from=us"}, Providers: three}, allow{form: onwardOnly}},
		{"login-account", "login", loginPage{frame: title("Sign in again"), Action: "/login", Username: "ada@example.com", Focus: "password", Reauthenticate: true, Again: true, To: upstream.Purpose{Return: "/account"}, Providers: three}, allow{}},
		{"prove", "prove", provePage{frame: title("You have an account here"), Provider: "Google", Email: "ada@example.com", Arrival: sealed, Action: "/login/google/prove", Another: "/login?choose=1"}, allow{}},
		{"prove-wrong", "prove", provePage{frame: title("You have an account here"), Provider: strings.Repeat("Wirtschaftsprüfungsgesellschaft", 2), Email: strings.Repeat("x", 64) + "@example.com", Arrival: sealed, Action: "/login/google/prove", Another: "/login?choose=1",
			Problem: &problem{ID: "login-problem", Field: "password", Text: "The password is wrong."}}, allow{}},
		{"account-plain", "account", accountPage{frame: title("Your account"), Person: ada, Action: "/account", Session: "ses_1",
			Sessions: []session{{ID: "ses_1", Number: "0", Browser: "Firefox on Linux", Address: "192.0.2.1", Seen: seen, Here: true}}}, allow{}},
		{"account", "account", accountPage{frame: title("Your account"), Person: ada, Action: "/account", Session: "ses_1", Federate: true, Nav: []navItem{{"Account", "/account", true}, {"API keys", "/account/keys", false}},
			Linked: []linked{{ProviderID: "prv_1", Subject: "1", Number: "0", Title: "Google", Email: "ada@gmail.example", Since: seen, Used: seen}, {ProviderID: "prv_2", Subject: "2", Number: "1", Title: "A provider that is switched off", Email: strings.Repeat("x", 64) + "@example.com", Since: seen, Off: true}},
			Others: three, SignIn: "/login?again=1", Problem: &problem{ID: "account-problem", Text: "To change how you sign in, sign in again first: it was more than ten minutes ago."},
			Sessions: []session{{ID: "ses_1", Number: "0", Browser: "Firefox on Linux", Address: "192.0.2.1", Seen: seen, Here: true},
				{ID: "ses_2", Number: "1", Browser: "Safari on iPhone", Address: "2001:db8:85a3:8d3:1319:8a2e:370:7348", Seen: seen, By: "google"},
				{ID: "ses_3", Number: "2", Browser: strings.Repeat("x", 40), Seen: seen}}, More: true}, allow{}},
		{"keys-none", "keys", keysPage{frame: title("Your API keys"), Nav: []navItem{{"Account", "/account", false}, {"API keys", "/account/keys", true}}, Action: "/account/keys", Session: "ses_1",
			Lives: []choice{{"life", "30", "30 days", false}, {"life", "90", "90 days", true}}}, allow{}},
		{"keys", "keys", keysPage{frame: title("Your API keys"), Nav: []navItem{{"Account", "/account", false}, {"API keys", "/account/keys", true}}, Action: "/account/keys", Session: "ses_1",
			Made: &madeKey{"nightly backup", "mm_uk_0Ab3dE6gH9kM8BzExampleOnlyNotASecret000000000"},
			Keys: []ownKey{{ID: "0Ab3dE6gH9k", Number: "0", Name: "nightly backup", Scopes: "orders:read, orders:write", From: "192.0.2.0/24, 2001:db8::/32", Used: seen, Ends: seen},
				{ID: "1Ab3dE6gH9k", Number: "1", Name: strings.Repeat("x", 200), Status: "disabled", Ends: seen},
				{ID: "2Ab3dE6gH9k", Number: "2", Name: "old", Status: "replaced", Replaced: true, Used: seen, Ends: seen}},
			Scopes: []choice{{"scope-0", "orders:read", "orders:read", true}, {"scope-1", strings.Repeat("https://orders.example/auth/", 4), strings.Repeat("https://orders.example/auth/", 4), false}},
			Lives:  []choice{{"life", "90", "90 days", true}}, Name: "x", Allow: "nonsense", More: true,
			Problem: &problem{ID: "keys-problem", Field: "allow", Text: "The list of networks has \"nonsense\", which is not a network like 192.0.2.0/24 or 2001:db8::/32."}}, allow{}},
		{"keys-late", "keys", keysPage{frame: title("Your API keys"), Action: "/account/keys", Session: "ses_1", Again: "/login?again=1", Lives: []choice{{"life", "90", "90 days", true}},
			Problem: &problem{ID: "keys-problem", Text: "To make a key, sign in again first: it was more than ten minutes ago."}}, allow{}},
		{"refused", "error", errorPage{frame: title("You are not signed in"), Text: "Google does not answer at the moment. Please try again in a minute, or choose another way.", Code: "provider_away", RequestID: "req_7Jk2mQ9xLpA",
			Ways: []Way{{"try-again", "Try again", "/login/google"}, {"another-way", "Sign in another way", "/login?choose=1"}}}, allow{}},
		{"consent", "consent", consentPage{frame: title("Allow access"), Client: orders, Person: ada, Scopes: little, Request: sealed, Action: "/consent"}, allow{}},
		{"consent-everything", "consent", consentPage{frame: title("Allow access"), Client: long, Person: person{Email: strings.Repeat("x", 64) + "@" + strings.Repeat("y", 60) + ".example"},
			Scopes: everything, Offline: offline, Policy: "https://orders.example.com/privacy", Terms: "https://orders.example.com/terms", Request: sealed, Action: "/consent"}, allow{}},
		{"logout", "logout", logoutPage{frame: title("Sign out?"), Person: ada, Action: "/logout"}, allow{}},
		{"logout-client", "logout", logoutPage{frame: title("Sign out?"), Person: ada, Client: client{Name: "Orders"}, Action: "/logout", Request: sealed,
			Trouble: "The post_logout_redirect_uri is not registered for this application. It is compared exactly, character by character."}, allow{}},
		{"logout-done", "logout", logoutPage{frame: title("You are signed out")}, allow{}},
		{"setup", "setup", setup("", ""), allow{script: true}},
		{"setup-wrong", "setup", setup("password", "The password is one of those that are guessed first; choose another."), allow{script: true}},
		{"setup-done", "setup", setupPage{frame: title("Already set up"), Done: true}, allow{}},
		{"home", "home", homePage{frame: title("Mintmark"), Issuer: s.Issuer}, allow{}},
		{"home-signed-in", "home", homePage{frame: title("You are signed in"), Person: ada, Issuer: s.Issuer}, allow{}},
		{"home-admin", "home", homePage{frame: title("You are signed in"), Person: ada, Admin: true, Issuer: s.Issuer}, allow{}},
		{"home-not-set-up", "home", homePage{frame: title("Not set up yet"), NeedsSetup: true, Issuer: s.Issuer}, allow{}},
		{"error", "error", errorPage{frame: title("This can not go on"), Text: "The redirect_uri is not registered for this client. It is compared exactly, character by character.", Code: "invalid_request", RequestID: "req_7Jk2mQ9xLpA"}, allow{}},
	}
}

func render(t *testing.T, s *Site, x sample) (*httptest.ResponseRecorder, *html.Node) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.show(w, 200, x.template, x.page, x.allow); err != nil {
		t.Fatalf("%s: %v", x.name, err)
	}
	n, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	return w, n
}

func elements(n *html.Node, visit func(*html.Node)) {
	if n.Type == html.ElementNode {
		visit(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		elements(c, visit)
	}
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// A field that a template wants and its struct has not shows here, not to a person.
func TestEveryTemplateRendersItsZeroStruct(t *testing.T) {
	s := newSite(t)
	for name, zero := range pages {
		if err := s.show(httptest.NewRecorder(), 200, name, zero, allow{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, err := pageFiles.ReadDir("pages")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(pages)+1 {
		t.Errorf("%d templates, %d pages and the layout", len(entries), len(pages))
	}
}

func TestEveryPageIsWellMade(t *testing.T) {
	s := newSite(t)
	void := []string{"input", "link", "meta", "path", "circle", "br"}
	for _, x := range s.samples() {
		t.Run(x.name, func(t *testing.T) {
			w, n := render(t, s, x)
			// What was opened is closed: the parser would repair it silently.
			var open []string
			z := html.NewTokenizer(strings.NewReader(w.Body.String()))
			for {
				kind := z.Next()
				if kind == html.ErrorToken {
					break
				}
				name, _ := z.TagName()
				switch {
				case kind == html.StartTagToken && !slices.Contains(void, string(name)):
					open = append(open, string(name))
				case kind == html.EndTagToken && (len(open) == 0 || open[len(open)-1] != string(name)):
					t.Fatalf("</%s> closes nothing; open: %v", name, open)
				case kind == html.EndTagToken:
					open = open[:len(open)-1]
				}
			}
			if len(open) > 0 {
				t.Errorf("not closed: %v", open)
			}

			ids, headings, labels := map[string]int{}, 0, map[string]bool{}
			elements(n, func(e *html.Node) {
				if id, ok := attr(e, "id"); ok {
					ids[id]++
				}
				if of, ok := attr(e, "for"); ok && e.Data == "label" {
					labels[of] = true
				}
				if e.Data == "h1" {
					headings++
				}
			})
			if headings != 1 {
				t.Errorf("%d h1", headings)
			}
			for id, times := range ids {
				if times > 1 {
					t.Errorf("the id %s is there %d times", id, times)
				}
			}
			elements(n, func(e *html.Node) {
				kind, _ := attr(e, "type")
				id, _ := attr(e, "id")
				switch e.Data {
				case "html":
					if lang, _ := attr(e, "lang"); lang != "en" {
						t.Errorf("lang is %q", lang)
					}
				case "style":
					t.Error("the policy forbids styles in the page")
				case "input":
					if _, ok := attr(e, "autocomplete"); kind != "hidden" && (!labels[id] || !ok) {
						t.Errorf("the input %s has no label or no autocomplete", id)
					}
				case "form":
					if method, _ := attr(e, "method"); method != "post" {
						t.Errorf("a form with the method %q", method)
					}
				case "script":
					if src, _ := attr(e, "src"); src == "" || e.FirstChild != nil {
						t.Error("a script in the page")
					}
				}
				for _, a := range e.Attr {
					switch a.Key {
					case "aria-describedby", "aria-labelledby":
						for of := range strings.FieldsSeq(a.Val) {
							if ids[of] == 0 {
								t.Errorf("%s of %s names %s, which is not there", a.Key, id, of)
							}
						}
					case "src", "action", "formaction":
						if !strings.HasPrefix(a.Val, "/") || strings.HasPrefix(a.Val, "//") {
							t.Errorf("%s=%q", a.Key, a.Val)
						}
					case "href":
						if e.Data == "link" && !strings.HasPrefix(a.Val, "/static/") {
							t.Errorf("a link to %q", a.Val)
						}
					case "style":
						t.Errorf("the policy forbids style=%q", a.Val)
					}
					if strings.HasPrefix(a.Key, "on") {
						t.Errorf("the policy forbids %s", a.Key)
					}
					if strings.Contains(a.Val, "ZgotmplZ") {
						t.Errorf("%s was not safe", a.Key)
					}
				}
			})
		})
	}
}

// 40 KB is what the slowest connection shows in a blink. A sealed request can be long.
func TestEveryPageWeighsLittle(t *testing.T) {
	s := newSite(t)
	for _, x := range s.samples() {
		w, n := render(t, s, x)
		weight := w.Body.Len()
		elements(n, func(e *html.Node) {
			for _, name := range []string{"href", "src"} {
				address, _ := attr(e, name)
				if file, ok := strings.CutPrefix(address, "/static/"); ok {
					weight += len(s.assets[file].body)
				}
			}
		})
		if weight > 20<<10 {
			t.Errorf("%s weighs %d bytes; with 16 KB of sealed request it would be too much", x.name, weight)
		}
	}
}

// What an application calls itself is its own choice, and markup is none of it.
func TestWhatOthersWroteIsText(t *testing.T) {
	s := newSite(t)
	evil := `"><script>alert(1)</script><form action="https://evil.example">`
	who := person{Name: evil, Email: evil, Session: evil}
	shown, _ := readScopes([]string{evil})
	for _, x := range []sample{
		{"login", "login", loginPage{frame: s.frame(evil), Client: client{evil, evil}, Request: evil, Username: evil, Continue: &who, Problem: &problem{ID: "p", Text: evil}}, allow{}},
		{"consent", "consent", consentPage{frame: s.frame("t"), Client: client{evil, evil}, Person: who, Scopes: shown, Policy: "javascript:alert(1)", Request: evil}, allow{}},
		{"logout", "logout", logoutPage{frame: s.frame("t"), Client: client{evil, evil}, Person: who, Trouble: evil, Request: evil}, allow{}},
		{"home", "home", homePage{frame: s.frame("t"), Person: who, Admin: true, Issuer: evil}, allow{}},
		{"error", "error", errorPage{frame: s.frame(evil), Text: evil, Code: evil, RequestID: evil, Ways: []Way{{"x", evil, evil}}}, allow{}},
		{"prove", "prove", provePage{frame: s.frame(evil), Provider: evil, Email: evil, Arrival: evil, Another: evil, Problem: &problem{ID: "p", Text: evil}}, allow{}},
		{"account", "account", accountPage{frame: s.frame(evil), Person: who, Session: evil, Federate: true, Linked: []linked{{evil, evil, "0", evil, evil, when{}, when{}, false, true}},
			Others: []provider{{evil, evil, evil}}, Sessions: []session{{ID: evil, Browser: evil, Address: evil, By: evil}, {ID: evil, Browser: evil}}}, allow{}},
		{"keys", "keys", keysPage{frame: s.frame(evil), Session: evil, Keys: []ownKey{{ID: evil, Name: evil, Scopes: evil, From: evil}}, Made: &madeKey{evil, evil},
			Scopes: []choice{{evil, evil, evil, true}}, Lives: []choice{{"life", evil, evil, true}}, Name: evil, Allow: evil, Problem: &problem{ID: "p", Text: evil}}, allow{}},
	} {
		w, n := render(t, s, x)
		elements(n, func(e *html.Node) {
			action, _ := attr(e, "action")
			if e.Data == "script" || strings.Contains(action, "evil") {
				t.Errorf("%s: %s", x.name, w.Body)
			}
		})
		if strings.Contains(w.Body.String(), `href="javascript:`) {
			t.Errorf("%s has a link that is a script", x.name)
		}
	}
}

func TestThePolicyLetsTheBrowserReturn(t *testing.T) {
	s := newSite(t)
	directive := regexp.MustCompile(`form-action ([^;]*)`)
	for _, tt := range []struct {
		name, form, want string
	}{
		{"a page that answers nobody", "", "'self'"},
		{"a web application", "https://app.example", "'self' https://app.example" + onward},
		{"an application on this machine", "http://127.0.0.1:5173", "'self' http://127.0.0.1:5173" + onward},
		{"an application on this machine, IPv6", "http://[::1]:5173", "'self' http:" + onward},
		{"a native application", "com.example.app:", "'self' com.example.app:" + onward},
		{"something that is no origin", "https://a.example; script-src *", "'self'"},
	} {
		w, _ := render(t, s, sample{"home", "home", homePage{}, allow{form: tt.form}})
		policy := w.Header().Get("Content-Security-Policy")
		if got := directive.FindStringSubmatch(policy); len(got) < 2 || got[1] != tt.want {
			t.Errorf("%s: %s", tt.name, policy)
		}
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: no %s in %s", tt.name, part, policy)
			}
		}
		if strings.Contains(policy, "script-src") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", tt.name, policy)
		}
	}
}

func TestStaticIsForGood(t *testing.T) {
	s := newSite(t)
	for asked, name := range s.named {
		w := httptest.NewRecorder()
		if err := s.Static(w, httptest.NewRequest("GET", "/static/"+name, nil)); err != nil {
			t.Fatal(err)
		}
		if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", asked, w.Code, w.Header())
		}
	}
	for _, name := range []string{"site.css", "../site.css", "", "site-000000000000.css"} {
		w := httptest.NewRecorder()
		if err := s.Static(w, httptest.NewRequest("GET", "/static/"+name, nil)); err != nil || w.Code != 404 {
			t.Errorf("%q: %d, %v", name, w.Code, err)
		}
	}
}
