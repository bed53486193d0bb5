package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"mintmark/conformance"
)

const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636, appendix B
	email     = "ada@example.com"
)

// An application is another origin. It shows a page at /callback and /bye. At /on it goes on
// to a third origin, as a broker or a proxy does.
type application struct {
	conformance.Client
	op    *conformance.Server
	here  string // its origin
	third string // the origin that it goes on to
	came  chan *http.Request
}

func newApplication(t *testing.T, op *conformance.Server) *application {
	t.Helper()
	a := &application{op: op, came: make(chan *http.Request, 10)}
	page := func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		select {
		case a.came <- r:
		default:
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Orders</title><link rel="icon" href="data:,"><p id="arrived">%s</p></html>`, r.Method)
	}
	third := httptest.NewServer(http.HandlerFunc(page))
	t.Cleanup(third.Close)
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/on" {
			http.Redirect(w, r, third.URL+"/end", http.StatusFound)
			return
		}
		page(w, r)
	}))
	t.Cleanup(own.Close)
	a.here, a.third = own.URL, third.URL
	a.Client = op.AddClient("Orders", "web", "--redirect", a.here+"/callback", "--redirect", a.here+"/on",
		"--post-logout-redirect", a.here+"/bye", "--scope", "openid", "--scope", "email", "--scope", "profile", "--scope", "offline_access")
	return a
}

// authorize is the address of a good request, with changes: name and value in turn.
func (a *application) authorize(changes ...string) string {
	q := url.Values{"client_id": {a.ID}, "redirect_uri": {a.here + "/callback"}, "response_type": {"code"}, "scope": {"openid email"},
		"state": {"some state"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return a.op.Issuer + "/authorize?" + q.Encode()
}

func start(t *testing.T) (*conformance.Server, *application) {
	t.Helper()
	op := conformance.Start(t, "")
	op.AddPerson(email)
	return op, newApplication(t, op)
}

// signIn does it at the page that is shown.
func (b *tab) signIn() {
	b.t.Helper()
	b.fill("username", email)
	b.fill("password", conformance.Password)
	b.click("login-submit")
}

// Chromium holds every redirect that follows a form against the form-action of the page with
// the form. With 'self' alone it would stop on the way back to the application, silently.
func TestTheBrowserReturnsToTheApplication(t *testing.T) {
	op, app := start(t)
	b := newTab(t, op)

	// After the consent form.
	b.open(app.authorize())
	b.signIn()
	b.click("consent-approve")
	at, err := url.Parse(b.reach(app.here + "/callback"))
	if err != nil || at.Query().Get("code") == "" || at.Query().Get("state") != "some state" || at.Query().Get("iss") != op.Issuer {
		t.Errorf("at %s", at)
	}
	b.see("arrived")

	// After the sign-in form, because the consent is remembered.
	b.open(app.authorize("prompt", "login"))
	b.fill("password", conformance.Password)
	b.click("login-submit")
	b.reach(app.here + "/callback?code=")

	// After a no.
	b.open(app.authorize("prompt", "login"))
	b.click("login-cancel")
	b.reach(app.here + "/callback?error=access_denied")
	b.open(app.authorize("prompt", "consent"))
	b.click("consent-deny")
	b.reach(app.here + "/callback?error=access_denied")

	// After choosing who they are.
	b.open(app.authorize("prompt", "select_account"))
	b.click("login-continue")
	b.reach(app.here + "/callback?code=")
}

// The redirect URI of an application is often not where its answer ends.
func TestTheApplicationGoesOnToAnotherOrigin(t *testing.T) {
	op, app := start(t)
	b := newTab(t, op)
	b.open(app.authorize("redirect_uri", app.here+"/on"))
	b.signIn()
	b.click("consent-approve")
	b.reach(app.third + "/end")
	b.see("arrived")
	b.open(app.authorize("redirect_uri", app.here+"/on", "response_mode", "form_post", "prompt", "consent"))
	b.click("consent-approve")
	b.reach(app.third + "/end")
	b.see("arrived")
}

func TestSignInWithTheKeyboardAlone(t *testing.T) {
	op, app := start(t)
	b := newTab(t, op)
	b.refused = true
	b.open(app.authorize())
	b.see("login-submit")
	b.press(email) // the field has the focus
	b.press(kb.Tab)
	b.press("not the password" + kb.Enter)
	b.see("login-problem")
	if got := b.value("username"); got != email {
		t.Errorf("the address is gone: %q", got)
	}
	b.press(conformance.Password + kb.Enter) // so does the one that was wrong
	b.tabTo("consent-approve")
	b.press(kb.Enter)
	b.reach(app.here + "/callback?code=")
}

func TestSignInWithoutScripts(t *testing.T) {
	op, app := start(t)
	b := newTab(t, op)
	b.withoutScripts()
	b.open(app.authorize())
	b.signIn()
	b.click("consent-approve")
	b.reach(app.here + "/callback?code=")
}

// OAuth 2.0 Form Post Response Mode §2: the answer is a form, and the browser sends it by itself.
func TestFormPost(t *testing.T) {
	op, app := start(t)
	b := newTab(t, op)
	b.open(app.authorize("response_mode", "form_post"))
	b.signIn()
	b.click("consent-approve")
	b.reach(app.here + "/callback")
	b.see("arrived")
	r := <-app.came
	if r.Method != "POST" || r.PostForm.Get("code") == "" || r.PostForm.Get("state") != "some state" || r.URL.RawQuery != "" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.PostForm)
	}
	if origin := r.Header.Get("Origin"); origin != op.Issuer {
		t.Errorf("the form came from %q", origin)
	}
}

// OpenID Connect RP-Initiated Logout §2: "the OP SHOULD ask the End-User whether to log out of
// the OP as well", and §3: then it returns to the application.
func TestSignOutReturnsToTheApplication(t *testing.T) {
	op, app := start(t)
	hint := hintOfSomebodyElse(t, op, app)
	b := newTab(t, op)
	b.open(op.Issuer + "/login")
	b.signIn()
	b.see("sign-out")
	// The hint is of somebody else, so the person is asked.
	b.open(op.Issuer + "/end_session?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {app.here + "/bye"}, "state": {"s"}}.Encode())
	b.see("logout-cancel")
	b.click("logout-confirm")
	b.reach(app.here + "/bye?state=s")
	b.open(op.Issuer + "/logout")
	b.see("login-link")
}

func hintOfSomebodyElse(t *testing.T, op *conformance.Server, app *application) string {
	t.Helper()
	op.AddPerson("bob@example.com")
	page := conformance.NewPerson(t, "bob@example.com").SignIn(app.authorize())
	form := url.Values{"grant_type": {"authorization_code"}, "code": {page.URL.Query().Get("code")}, "redirect_uri": {app.here + "/callback"}, "code_verifier": {verifier}}
	r, err := http.NewRequest("POST", op.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(app.ID), url.QueryEscape(app.Secret))
	resp, err := (&http.Client{Timeout: enough}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		IDToken string `json:"id_token"`
		Error   string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.IDToken == "" {
		t.Fatalf("no ID token: %d %s %v", resp.StatusCode, answer.Error, err)
	}
	return answer.IDToken
}

// The code is in the fragment, which reaches no server and no log.
func TestSetUpByTheLink(t *testing.T) {
	op := conformance.Start(t, "")
	b := newTab(t, op)
	link := regexp.MustCompile(`http\S+/setup#\S+`).FindString(op.Log())
	if link == "" {
		t.Fatalf("no set-up link in:\n%s", op.Log())
	}
	_, code, _ := strings.Cut(link, "#")
	b.open(link)
	b.see("setup-submit")
	if got := b.value("code"); got != code {
		t.Errorf("the field holds %q and not the code of the link", got)
	}
	if at := b.at(); strings.Contains(at, code) {
		t.Errorf("the code stays in the address: %s", at)
	}
	b.press("root@example.com") // the next field has the focus
	b.fill("password", conformance.Password)
	b.click("setup-submit")
	b.see("sign-out")
	b.open(link)
	b.see("login-link")
}
