package upstream_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	zitadel "github.com/zitadel/oidc/v3/pkg/op"

	"mintmark/upstream"
)

// TestZitadelSignsPeopleIn: a provider that other people wrote, with its own login page, and
// nothing known of it but its address. Its ID tokens have no address: userinfo has.
func TestZitadelSignsPeopleIn(t *testing.T) {
	w := newWorld(t)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	issuer := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	storage.RegisterClients(storage.WebClient("web", "secret", ours+"/login/zitadel/callback"))
	before := slog.Default()
	handler = exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), slog.New(slog.DiscardHandler), false, zitadel.WithAllowInsecure())
	t.Cleanup(func() { slog.SetDefault(before) })

	p := upstream.Provider{ID: "prv_z", Name: "zitadel", Kind: "oidc", Issuer: issuer, ClientID: "web",
		SealedSecret: w.sealer.Seal([]byte("secret"), upstream.SecretAAD("prv_z"))}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	w.store.AddProvider(t.Context(), p)
	w.Forget()

	address, err := w.begins("zitadel", upstream.Purpose{})
	if err != nil {
		t.Fatal(err)
	}
	q := person(t, address)
	who, _, err := w.returns("zitadel", q)
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "id1" || who.Email != "test-user@zitadel.ch" || !who.EmailVerified || who.Name != "Test User" || who.AuthTime.IsZero() {
		t.Errorf("who arrived is %+v", who)
	}
	w.Registry.Close()
}

// person signs in at zitadel's example page, and returns the query of the callback.
func person(t *testing.T, address string) url.Values {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	browser := &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), ours) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	at := resp.Request.URL
	if at.Path != "/login/username" {
		t.Fatalf("the person is at %s, %s", at, resp.Status)
	}
	resp, err = browser.PostForm(at.Scheme+"://"+at.Host+"/login/username", url.Values{
		"username": {"test-user@localhost"}, "password": {"verysecure"}, "id": {at.Query().Get("authRequestID")}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil || !strings.HasPrefix(back.String(), ours+"/login/zitadel/callback?") {
		t.Fatalf("the person is at %s, %s: %v", resp.Request.URL, resp.Status, err)
	}
	return back.Query()
}
