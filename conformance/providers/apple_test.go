package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"mintmark/conformance"
)

// Apple answers by a form that its own page posts, and no SameSite cookie comes with that. A real browser
// has them all the same when it is our turn.
func TestAFormOfAnotherSiteSignsInARealBrowser(t *testing.T) {
	browser := newBrowser(t)
	op := conformance.Start(t, "")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var posts atomic.Int64
	q := &quick{key: key, stop: make(chan struct{})}
	q.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/authorize" {
			q.ServeHTTP(w, r)
			return
		}
		in := r.URL.Query()
		posts.Add(1)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Authorize</title><form method="post" action="%s"><input type="hidden" name="state" value="%s"><input type="hidden" name="code" value="%s"><button>Go</button></form></html>`,
			html.EscapeString(in.Get("redirect_uri")), html.EscapeString(in.Get("state")), html.EscapeString("1."+in.Get("nonce")))
	}))
	t.Cleanup(q.Close)
	q.URL = strings.Replace(q.URL, "127.0.0.1", "localhost", 1) // another site
	add(t, op, "apple", "apple", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "--client-id", "client", "--team-id", "TEAM123456", "--key-id", "KEY1234567",
		"--issuer", q.URL, "--authorize-url", q.URL+"/authorize", "--token-url", q.URL+"/token", "--jwks-url", q.URL+"/keys", "--algorithm", "ES256")
	through := func(what string) {
		t.Helper()
		do(t, browser, what, chromedp.WaitVisible(chromedp.CSS("form button")))
		do(t, browser, what+", there", chromedp.Click(chromedp.CSS("form button"), chromedp.NodeVisible), chromedp.WaitVisible(chromedp.ID("sign-out")))
	}
	do(t, browser, "begin", chromedp.Navigate(op.Issuer+"/login/apple?"+url.Values{"return_to": {"/"}}.Encode()))
	through("sign in")
	if n := posts.Load(); n != 1 {
		t.Errorf("%d pages of the provider", n)
	}
}
