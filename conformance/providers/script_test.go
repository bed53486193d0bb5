package providers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"mintmark/conformance"
)

// A single-page application on an origin of its own asks with a script, and a real browser lets it read
// the answer, keeps the cookie that comes with it, and comes back signed in.
func TestASinglePageApplicationBeginsInARealBrowser(t *testing.T) {
	op := conformance.Start(t, "")
	browser := newBrowser(t)
	g, _ := github(t, op)
	var ask string
	board := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/back" {
			w.Write([]byte(`<!doctype html><html lang="en"><title>Board</title><p id="arrived">Hello</p></html>`))
			return
		}
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Board</title><button id="begin">Sign in</button><script>
document.getElementById("begin").onclick = async () => {
  const answer = await fetch(%q, {credentials: "include", headers: {Accept: "application/json"}});
  location.href = (await answer.json()).authorization_url;
};</script></html>`, ask)
	}))
	t.Cleanup(board.Close)
	client := op.AddClient("Board", "spa", "--redirect", board.URL+"/back")
	ask = op.Issuer + "/login/github?" + url.Values{"client_id": {client.ID}, "return_to": {board.URL + "/back"}}.Encode()
	do(t, browser, "open", chromedp.Navigate(board.URL+"/"))
	do(t, browser, "begin", chromedp.Click(chromedp.ID("begin"), chromedp.NodeVisible))
	reach(t, browser, board.URL+"/")
	g.fillIn(t, browser)
	do(t, browser, "arrive", chromedp.WaitVisible(chromedp.ID("arrived")))
	if at := reach(t, browser, ""); at.String() != board.URL+"/back" {
		t.Errorf("they are at %s", at)
	}
	do(t, browser, "be signed in", chromedp.Navigate(op.Issuer+"/"), chromedp.WaitVisible(chromedp.ID("sign-out")))
}
