package providers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"mintmark/conformance"
)

const enough = 20 * time.Second

// newBrowser starts Chromium, or skips the test.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("MINTMARK_REQUIRE_BROWSER") != "" {
			t.Fatal("MINTMARK_REQUIRE_BROWSER is set, and there is no chromium")
		}
		t.Skip("there is no chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.Flag("disable-component-update", true), chromedp.Flag("no-first-run", true))
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func do(t *testing.T, ctx context.Context, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, end := context.WithTimeout(ctx, enough)
	defer end()
	if err := chromedp.Do(ctx, steps...); err != nil {
		at, _ := chromedp.Run(ctx, chromedp.Location())
		t.Fatalf("%s, at %s: %v", what, at, err)
	}
}

// reach waits until the browser is at another address than from, and returns it.
func reach(t *testing.T, ctx context.Context, from string) *url.URL {
	t.Helper()
	for end := time.Now().Add(enough); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		at, err := chromedp.Run(ctx, chromedp.Location())
		if err != nil || at == from {
			continue
		}
		if u, err := url.Parse(at); err == nil && u.Host != "" {
			return u
		}
	}
	t.Fatalf("the browser stays at %s", from)
	return nil
}

// What only a browser decides: that its cookie rules let the state's cookie come back from another
// site, and that its policies let a form lead to a provider and on to the application.
func TestARealBrowserArrivesFromEachProvider(t *testing.T) {
	each(t, func(t *testing.T, op *conformance.Server) {
		browser := newBrowser(t)
		orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte(`<!doctype html><html lang="en"><title>Orders</title><link rel="icon" href="data:,"><p id="arrived">Hello</p></html>`))
		}))
		t.Cleanup(orders.Close)
		web := newApp(t, op, "--redirect", orders.URL+"/callback")
		for _, g := range everybody(t, op) {
			t.Run(g.name, func(t *testing.T) {
				tab, end := chromedp.NewContext(browser)
				defer end()
				// The tab lives as long as the context of what is done in it first.
				if err := chromedp.Do(tab); err != nil {
					t.Fatal(err)
				}
				do(t, tab, "open", chromedp.Navigate(web.request("redirect_uri", orders.URL+"/callback")))
				login := reach(t, tab, "")
				do(t, tab, "press the button", chromedp.Click(chromedp.ID("login-"+g.name), chromedp.NodeVisible))
				at := reach(t, tab, login.String())
				for i := 0; at.Hostname() == "localhost"; i++ {
					if i == 5 {
						t.Fatalf("the provider does not let them go: %s", at)
					}
					g.fillIn(t, tab)
					at = reach(t, tab, at.String())
				}
				do(t, tab, "arrive", chromedp.WaitVisible(chromedp.ID("arrived")))
				if at := reach(t, tab, ""); at.Query().Get("code") == "" || at.Path != "/callback" {
					t.Errorf("the application got %s", at)
				}
				do(t, tab, "sign out", chromedp.Navigate(op.Issuer+"/logout"), chromedp.Click(chromedp.ID("logout-confirm"), chromedp.NodeVisible),
					chromedp.WaitVisible(chromedp.ID("login-link")))
			})
		}
	})
}

// fillIn types what the page asks for, and presses its button.
func (g guest) fillIn(t *testing.T, tab context.Context) {
	t.Helper()
	do(t, tab, "see a form", chromedp.WaitVisible(chromedp.CSS("form button")))
	for i := 0; i+1 < len(g.fields); i += 2 {
		field := `input[name="` + g.fields[i] + `"]`
		if there, err := chromedp.Run(tab, chromedp.Evaluate[bool](`!!document.querySelector('`+field+`')`)); err == nil && there {
			do(t, tab, "type the "+g.fields[i], chromedp.SendKeys(chromedp.CSS(field), g.fields[i+1], chromedp.NodeVisible))
		}
	}
	button := "form button"
	if there, err := chromedp.Run(tab, chromedp.Evaluate[bool](`!!document.getElementById("consent-approve")`)); err == nil && there {
		button = "#consent-approve"
	}
	do(t, tab, "press the button", chromedp.Click(chromedp.CSS(button), chromedp.NodeVisible))
}
