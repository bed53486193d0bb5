package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/internal/secret"
	"mintmark/upstream"
)

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	purpose := upstream.Purpose{Request: strings.Repeat("r", 1000), Return: "/account?tab=keys", LinkTo: "usr_1", Session: "ses_1"}
	to := purpose
	to.LoginHint, to.Prompt, to.Locales = "ada@example.com", "login", []string{"de", "en"}
	address, err := w.begins("op", to)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"tenant": "1", "response_type": "code", "client_id": "client", "redirect_uri": ours + "/login/op/callback", "scope": "openid profile email",
		"code_challenge_method": "S256", "login_hint": "ada@example.com", "prompt": "login", "ui_locales": "de en", "response_mode": "",
	} {
		if q.Get(name) != want {
			t.Errorf("%s is %q", name, q.Get(name))
		}
	}
	if len(q.Get("state")) != 44 || len(q.Get("nonce")) != 32 || len(q.Get("code_challenge")) != 43 {
		t.Errorf("state, nonce and challenge are %v", q)
	}
	for _, c := range w.browser {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != 600 || len(c.Value) > 4000 {
			t.Errorf("the cookie is %+v", c)
		}
		if strings.Contains(c.Value, q.Get("nonce")) || strings.Contains(c.Value, "rrrr") {
			t.Error("the cookie can be read")
		}
	}
	who, back, err := w.returns("op", w.op.consent(address))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, purpose) {
		t.Errorf("it was for %+v", back)
	}
	if who.Subject != "ada-1" || who.Email != "ada@example.com" || !who.EmailVerified || who.EmailHosted || who.Name != "Ada Lovelace" ||
		string(who.Claims) != `{"name":"Ada Lovelace"}` || who.ACR != "2" || strings.Join(who.AMR, " ") != "pwd otp" || who.SessionID != "s-1" ||
		w.now.Sub(who.AuthTime) < 29*time.Second || who.Tokens != nil || who.ExpiresAt.Sub(w.now) < 59*time.Minute || who.Roles != nil {
		t.Errorf("who arrived is %+v", who)
	}
	if len(w.browser) != 0 {
		t.Errorf("the browser keeps %v", w.browser)
	}
	if n := w.op.count("/userinfo"); n != 0 {
		t.Error("userinfo was asked for what the ID token says")
	}
}

func TestTwoWindowsAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	one, err := w.begins("op", upstream.Purpose{Return: "/one"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := w.begins("op", upstream.Purpose{Return: "/two"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{one: "/one", two: "/two"} {
		if _, to, err := w.returns("op", w.op.consent(address)); err != nil || to.Return != want {
			t.Errorf("%s: %v, %v", want, to, err)
		}
	}
}

func TestABrowserKeepsTheLatestAttemptsOnly(t *testing.T) {
	w := newWorld(t)
	first, err := w.begins("op", upstream.Purpose{})
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for range 30 {
		if last, err = w.begins("op", upstream.Purpose{Request: strings.Repeat("r", 3000)}); err != nil {
			t.Fatal(err)
		}
	}
	size := 0
	for name, c := range w.browser {
		size += len(name) + len(c.Value)
	}
	if size > 24<<10 {
		t.Errorf("%d bytes of cookies are kept", size)
	}
	if _, _, err := w.returns("op", w.op.consent(last)); err != nil {
		t.Error(err)
	}
	if _, _, err := w.returns("op", w.op.consent(first)); code(err) != "no_attempt" {
		t.Errorf("the first of all: %v", err)
	}
}

func TestOneStateIsUsedOnce(t *testing.T) {
	w := newWorld(t)
	address, err := w.begins("op", upstream.Purpose{})
	if err != nil {
		t.Fatal(err)
	}
	q := w.op.consent(address)
	got := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 16 {
		r := w.browser.show(httptest.NewRequest("GET", "/login/op/callback?"+q.Encode(), nil))
		all.Go(func() {
			_, _, err := w.Finish(httptest.NewRecorder(), r, "op", w.now)
			mu.Lock()
			got[code(err)]++
			mu.Unlock()
		})
	}
	all.Wait()
	if got["<nil>"] != 1 || got["used"] != 15 {
		t.Errorf("sixteen at once: %v", got)
	}
	if n := w.op.count("/token"); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestNoStoreNoSignIn(t *testing.T) {
	w := newWorld(t)
	address, err := w.begins("op", upstream.Purpose{})
	if err != nil {
		t.Fatal(err)
	}
	before := w.op.total()
	w.store.fail = http.ErrServerClosed
	if _, _, err := w.returns("op", w.op.consent(address)); err == nil || code(err) != err.Error() {
		t.Errorf("it is a refusal, and not a fault of ours: %v", err)
	}
	if w.op.total() != before {
		t.Error("the provider was asked")
	}
}

func TestUserInfoSaysWhatTheIDTokenDoesNot(t *testing.T) {
	w := newWorld(t)
	w.op.claims = func(c claims) { c["email"], c["name"] = nil, nil; c["email_verified"] = true }
	w.op.user = claims{"sub": "ada-1", "email": "eve@example.com", "name": "Ada", "picture": "https://img.example/a.png", "website": "javascript:alert(1)"}
	who, err := w.signsIn("op")
	if err != nil {
		t.Fatal(err)
	}
	if who.Email != "eve@example.com" || who.EmailVerified {
		t.Errorf("one document's word was taken for another's address: %+v", who)
	}
	if string(who.Claims) != `{"name":"Ada","picture":"https://img.example/a.png"}` {
		t.Errorf("the claims are %s", who.Claims)
	}
}

func TestMappingGroupsAndRoles(t *testing.T) {
	w := newWorld(t)
	w.set(func(p *upstream.Provider) {
		p.Mapping = map[string]string{"groups": "realm.groups", "nickname": "https://acme.example/nick", "email": "mails.1.value"}
		p.Roles = []upstream.RoleRule{{"groups", "ops", "admin"}, {"https://acme.example/level", "9", "auditor"}, {"groups", "nobody", "owner"}}
		p.KeepTokens = true
	})
	w.op.claims = func(c claims) {
		c["realm"] = claims{"groups": []string{"ops", "dev", "ops"}}
		c["https://acme.example/nick"], c["https://acme.example/level"] = "ada", "9"
		c["mails"] = []claims{{"value": "a@example.com"}, {"value": "b@example.com"}}
		c["role"], c["roles"], c["groups"] = "owner", []string{"owner"}, []string{"nobody"}
	}
	who, err := w.signsIn("op")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(who.Groups, " ") != "dev ops" || strings.Join(who.Roles, " ") != "admin auditor" || who.Email != "b@example.com" || !strings.Contains(string(who.Claims), `"nickname":"ada"`) {
		t.Errorf("who arrived is %+v, %s", who, who.Claims)
	}
	if who.Tokens == nil || !strings.HasPrefix(who.Tokens.Access.Reveal(), "at-") || who.Tokens.Refresh.Reveal() != "rt" || len(who.Tokens.Scopes) != 2 {
		t.Error("the tokens were not kept")
	}
}

// Anybody can write the administrator's address into their profile.
func TestAnAddressThatIsNotVerifiedGivesNoRole(t *testing.T) {
	for verified, want := range map[bool]string{true: "admin", false: ""} {
		w := newWorld(t)
		w.set(func(p *upstream.Provider) { p.Roles = []upstream.RoleRule{{"email", "boss@example.com", "admin"}} })
		w.op.claims = func(c claims) { c["email"], c["email_verified"] = "boss@example.com", verified }
		who, err := w.signsIn("op")
		if err != nil || strings.Join(who.Roles, " ") != want {
			t.Errorf("verified is %v, and the roles are %v, %v", verified, who.Roles, err)
		}
	}
}

func TestAnyOAuth2Service(t *testing.T) {
	w := newWorld(t)
	w.op.user = claims{"data": claims{"user": claims{"id": 9007199254740993, "mail": "ada@example.com", "ok": true, "full": "Ada"}}}
	w.add(upstream.Provider{Name: "any", Kind: "oauth2", AuthorizeURL: w.op.URL + "/authorize", TokenURL: w.op.URL + "/token",
		UserInfoURL: w.op.URL + "/userinfo", Scopes: []string{"me"},
		Mapping: map[string]string{"sub": "data.user.id", "email": "data.user.mail", "email_verified": "data.user.ok", "name": "data.user.full"}})
	who, err := w.signsIn("any")
	if err != nil || who.Subject != "9007199254740993" || !who.EmailVerified || who.Name != "Ada" {
		t.Errorf("who arrived is %+v, %v", who, err)
	}
}

func TestAKeyThatIsRotatedIsFound(t *testing.T) {
	w := newWorld(t)
	if _, err := w.signsIn("op"); err != nil {
		t.Fatal(err)
	}
	w.op.key = newSigner(t, "two")
	if _, err := w.signsIn("op"); err != nil {
		t.Fatal(err)
	}
	if n := w.op.count("/jwks"); n != 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestAFloodOfUnknownKidsIsNoFloodForTheProvider(t *testing.T) {
	w := newWorld(t)
	forger := newSigner(t, "")
	w.op.sign = func(text string) string { return forger.sign(text, claims{"kid": secret.NewShortID()}) }
	for range 50 {
		if _, err := w.signsIn("op"); code(err) != "id_token_signature" {
			t.Fatal(err)
		}
	}
	if n := w.op.count("/jwks"); n > 2 {
		t.Errorf("the keys were fetched %d times", n)
	}
	if n := w.op.count("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("the metadata was fetched %d times", n)
	}
}

func TestMetadataIsBelievedForADayWhileTheProviderIsAway(t *testing.T) {
	w := newWorld(t)
	if _, err := w.begins("op", upstream.Purpose{}); err != nil {
		t.Fatal(err)
	}
	w.op.routes["/.well-known/openid-configuration"] = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502) }
	w.now = w.now.Add(2 * time.Hour)
	for range 10 {
		if _, err := w.begins("op", upstream.Purpose{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.op.count("/.well-known/openid-configuration"); n != 2 {
		t.Errorf("the metadata was asked for %d times", n)
	}
	w.now = w.now.Add(23 * time.Hour)
	for range 10 {
		if _, err := w.begins("op", upstream.Purpose{}); code(err) != "provider_away" {
			t.Error(err)
		}
	}
	if n := w.op.count("/.well-known/openid-configuration"); n != 3 {
		t.Errorf("the metadata was asked for %d times", n)
	}
}

func TestWhatAProviderIsOnTheSignInPage(t *testing.T) {
	w := newWorld(t)
	w.add(upstream.Provider{Name: "git", Kind: "github", Title: "Our GitHub"})
	w.add(upstream.Provider{Name: "away", Kind: "discord", DisabledAt: w.now})
	reads := w.store.reads
	for range 10 {
		list, err := w.Enabled(t.Context(), w.now)
		if err != nil || len(list) != 2 || list[0].Label() != "Our GitHub" || list[1].Label() != "OpenID Connect" {
			t.Fatal(list, err)
		}
	}
	if w.store.reads != reads+1 {
		t.Errorf("the store was read %d times", w.store.reads-reads)
	}
	later := w.now.Add(time.Minute)
	w.Heard(later)
	if _, err := w.Enabled(t.Context(), later.Add(999*time.Millisecond)); err != nil || w.store.reads != reads+1 {
		t.Errorf("while changes are heard of, the store was read %d times (%v)", w.store.reads-reads, err)
	}
	if _, err := w.Enabled(t.Context(), later.Add(time.Second)); err != nil || w.store.reads != reads+2 {
		t.Errorf("a second after the last news, the store was read %d times (%v)", w.store.reads-reads, err)
	}
	if _, err := w.ByName(t.Context(), "away", w.now); code(err) != "unknown_provider" {
		t.Error(err)
	}
	out, err := json.Marshal(w.store.rows[0])
	if err != nil || strings.Contains(strings.ToLower(string(out)), "sealed") {
		t.Errorf("the secret is in %s, %v", out, err)
	}
	w.set(func(p *upstream.Provider) { p.DisabledAt = w.now })
	if list, err := w.Enabled(t.Context(), w.now); err != nil || len(list) != 1 {
		t.Errorf("after Forget: %v, %v", list, err)
	}
	w.store.rows[0].DisabledAt = time.Time{} // by another copy of the server
	if list, err := w.Enabled(t.Context(), w.now.Add(time.Second)); err != nil || len(list) != 2 {
		t.Errorf("a second later: %v, %v", list, err)
	}
}

// TestThePageDoesNotWaitForTheDatabase: it shows what it showed last, and nobody begins anything with
// that.
func TestThePageDoesNotWaitForTheDatabase(t *testing.T) {
	w := newWorld(t)
	if list, err := w.Enabled(t.Context(), w.now); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	back := make(chan struct{})
	w.store.slow = func() { <-back }
	later := w.now.Add(time.Hour)
	if list, err := w.Enabled(t.Context(), later); err != nil || len(list) != 1 {
		t.Errorf("while the database is away: %v, %v", list, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := w.ByName(ctx, "op", later); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("something was begun with what may be gone: %v", err)
	}
	close(back)
	if _, err := w.ByName(t.Context(), "op", later); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	w.set(func(p *upstream.Provider) { p.DisabledAt = w.now })
	if list, err := w.Enabled(t.Context(), later); err != nil || len(list) != 0 {
		t.Errorf("afterwards: %v, %v", list, err)
	}
}

// TestADeadProviderIsLeftAlone: five callbacks find out, and nobody after them waits. Other
// providers don't notice.
func TestADeadProviderIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	other := newOP(t)
	w.add(upstream.Provider{Name: "other", Kind: "oidc", Issuer: other.URL})
	var kept []url.Values
	for range 3 {
		address, err := w.begins("op", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, w.op.consent(address))
	}
	browsers := maps.Clone(w.browser)
	w.op.routes["/token"] = answers(503, "")
	for range 5 {
		if _, err := w.signsIn("op"); code(err) != "provider_away" {
			t.Fatal(err)
		}
	}
	w.settles(func() bool { _, err := w.begins("op", upstream.Purpose{}); return code(err) == "provider_away" })
	asked := w.op.total()
	w.browser = browsers
	if _, _, err := w.returns("op", kept[0]); code(err) != "provider_away" || err.(*upstream.Refusal).Counts {
		t.Error(err)
	}
	if w.op.total() != asked {
		t.Error("it was asked again")
	}
	if len(w.store.spent) != 5 {
		t.Error("a state was spent on a provider that is left alone: loading the page again won't help")
	}
	address, err := w.begins("other", upstream.Purpose{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.returns("other", other.consent(address)); err != nil {
		t.Errorf("another provider: %v", err)
	}
}

// settles waits until something is so that happens by itself.
func (w *world) settles(so func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("it does not become so")
		}
	}
}

// TestAFirewallThatDropsACodeKeepsNobodyElseOut: a stranger sends codes that something before the
// provider takes for attacks, and cuts the connection. That is silence, five times and more; but
// towards us it is not silent, and everybody else goes on signing in.
func TestAFirewallThatDropsACodeKeepsNobodyElseOut(t *testing.T) {
	w := newWorld(t)
	w.op.routes["/token"] = func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.PostFormValue("code"), "UNION SELECT") {
			panic(http.ErrAbortHandler)
		}
		w.op.token(rw, r)
	}
	for range 4 * 5 {
		address, err := w.begins("op", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		q := w.op.consent(address)
		q.Set("code", "' UNION SELECT 1 --")
		if _, _, err := w.returns("op", q); code(err) != "provider_away" || !err.(*upstream.Refusal).Counts {
			t.Fatal(err)
		}
		if _, err := w.begins("op", upstream.Purpose{}); err != nil {
			t.Fatalf("nobody can begin any more: %v", err)
		}
	}
	if _, err := w.signsIn("op"); err != nil {
		t.Errorf("nobody can sign in any more: %v", err)
	}
}

// TestCodesOfNobodyDontKeepOthersOut: what a person can send makes no provider dead.
func TestCodesOfNobodyDontKeepOthersOut(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		address, err := w.begins("op", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		q := w.op.consent(address)
		q.Set("code", "guess")
		if _, _, err := w.returns("op", q); code(err) != "code_refused" || !err.(*upstream.Refusal).Counts {
			t.Fatal(err)
		}
	}
	w.op.routes["/token"] = answers(500, "{}") // as some answer to a code that they don't know
	for range 20 {
		if _, err := w.signsIn("op"); code(err) != "bad_token_answer" {
			t.Fatal(err)
		}
	}
	delete(w.op.routes, "/token")
	if _, err := w.signsIn("op"); err != nil {
		t.Error(err)
	}
}

func TestAuthTimeIsNotInTheFuture(t *testing.T) {
	w := newWorld(t)
	for ahead, want := range map[time.Duration]time.Time{30 * time.Second: w.now, 90 * time.Second: {}} {
		claim("auth_time", w.now.Add(ahead).Unix())(w)
		if who, err := w.signsIn("op"); err != nil || !who.AuthTime.Equal(want) {
			t.Errorf("%s ahead: %s, %v", ahead, who.AuthTime, err)
		}
	}
}

// TestWhatIsReadDuringAChangeIsNotKept: a look that began before the change must not bring the old
// row back.
func TestWhatIsReadDuringAChangeIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.store.slow = func() { w.set(func(p *upstream.Provider) { p.DisabledAt = w.now }) }
	w.Enabled(t.Context(), w.now)
	if list, err := w.Enabled(t.Context(), w.now); err != nil || len(list) != 0 {
		t.Errorf("after the change: %v, %v", list, err)
	}
}

// BenchmarkSignIn is Begin and Finish with a provider on the same machine, which is most of it.
func BenchmarkSignIn(b *testing.B) {
	w := newWorld(b)
	if _, err := w.signsIn("op"); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		mine := *w
		mine.browser = browser{}
		for pb.Next() {
			if _, err := mine.signsIn("op"); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkOurShare is the same without the network: the code is refused before anybody is asked.
func BenchmarkOurShare(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		address, err := w.begins("op", upstream.Purpose{Request: "r"})
		if err != nil {
			b.Fatal(err)
		}
		q := w.op.consent(address)
		q.Del("code")
		if _, _, err := w.returns("op", q); code(err) != "bad_callback" {
			b.Fatal(err)
		}
	}
}
