package wellknown

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"mintmark/internal/secret"
	"mintmark/keys"
)

const iss = "https://id.example.com"

// ring is a keyring that signs.
func ring(t testing.TB) *keys.Keyring {
	t.Helper()
	sealer, err := secret.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	k := keys.New(keys.Config{Store: database(t), Sealer: sealer, Log: slog.New(slog.DiscardHandler)})
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

type handler = func(http.ResponseWriter, *http.Request) error

// ask sends one request. If-None-Match is left out if it is empty.
func ask(t *testing.T, serve handler, method string, ifNoneMatch ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	for _, line := range ifNoneMatch {
		r.Header.Add("If-None-Match", line)
	}
	w := httptest.NewRecorder()
	if err := serve(w, r); err != nil {
		t.Fatal(err)
	}
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDocumentsAreCached(t *testing.T) {
	h := newHandler(iss, ring(t))
	for name, tt := range map[string]struct {
		serve handler
		cache string
	}{
		"openid-configuration":       {h.OpenID, "public, max-age=3600"},
		"oauth-authorization-server": {h.OAuth, "public, max-age=3600"},
		"jwks.json":                  {h.JWKS, "public, max-age=3600"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, tt.serve, "GET")
			text, etag := body(t, got), got.Header.Get("ETag")
			if got.StatusCode != 200 || got.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(text)) {
				t.Fatalf("%d %s\n%s", got.StatusCode, got.Header, text)
			}
			if got.Header.Get("Cache-Control") != tt.cache || got.Header.Get("Content-Length") != strconv.Itoa(len(text)) {
				t.Errorf("%s", got.Header)
			}
			head := ask(t, tt.serve, "HEAD")
			if head.StatusCode != 200 || body(t, head) != "" || head.Header.Get("Content-Length") != strconv.Itoa(len(text)) || head.Header.Get("ETag") != etag {
				t.Errorf("HEAD: %d %s", head.StatusCode, head.Header)
			}
			for _, tt2 := range []struct {
				name   string
				lines  []string
				status int
			}{
				{"the same", []string{etag}, 304},
				{"the same, weak", []string{"W/" + etag}, 304},
				{"one of a list", []string{`"other", ` + etag + `, "more"`}, 304},
				{"on the second line", []string{`"other"`, etag}, 304},
				{"whatever there is", []string{" * "}, 304},
				{"another", []string{`"other"`}, 200},
				{"a part of it", []string{etag[:5] + `"`}, 200},
				{"without its quotes", []string{etag[1 : len(etag)-1]}, 200},
				{"commas", []string{",,,"}, 200},
				{"nothing", []string{""}, 200},
			} {
				got := ask(t, tt.serve, "GET", tt2.lines...)
				if got.StatusCode != tt2.status || (body(t, got) == "") != (tt2.status == 304) {
					t.Errorf("%s: %d", tt2.name, got.StatusCode)
				}
				// RFC 9110 15.4.5
				if got.Header.Get("ETag") != etag || got.Header.Get("Cache-Control") != tt.cache {
					t.Errorf("%s: %s", tt2.name, got.Header)
				}
			}
		})
	}
}

func TestTheJWKSFollowsTheKeys(t *testing.T) {
	k := ring(t)
	h := newHandler(iss, k)
	before := ask(t, h.JWKS, "GET")
	first := body(t, before)
	kid, err := k.Rotate(t.Context(), keys.ES256, false)
	if err != nil {
		t.Fatal(err)
	}
	after := ask(t, h.JWKS, "GET", before.Header.Get("ETag"))
	second := body(t, after)
	if after.StatusCode != 200 || bytes.Contains([]byte(first), []byte(kid)) || !bytes.Contains([]byte(second), []byte(kid)) {
		t.Errorf("%d\n%s\n%s", after.StatusCode, first, second)
	}
	if after.Header.Get("Content-Length") != strconv.Itoa(len(second)) {
		t.Errorf("the length is that of the old one: %s", after.Header)
	}
}

func TestAJWKSThatMayBeOldIsNotCached(t *testing.T) {
	// A keyring that was never started has not seen the database either.
	h := newHandler(iss, keys.New(keys.Config{}))
	got := ask(t, h.JWKS, "GET")
	if got.Header.Get("Cache-Control") != "no-store" || body(t, got) != `{"keys":[]}` {
		t.Errorf("%d %s", got.StatusCode, got.Header)
	}
}

func TestServingAllocatesNothing(t *testing.T) {
	h := newHandler(iss, ring(t))
	w, r := &nowhere{header: http.Header{}}, httptest.NewRequest("GET", "/", nil)
	for name, serve := range map[string]handler{"discovery": h.OpenID, "JWKS": h.JWKS} {
		if n := testing.AllocsPerRun(100, func() { serve(w, r) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// nowhere is a writer that costs nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

func BenchmarkServe(b *testing.B) {
	h := newHandler(iss, ring(b))
	for _, one := range []struct {
		name  string
		serve handler
		match string
	}{
		{"discovery", h.OpenID, ""},
		{"jwks", h.JWKS, ""},
		{"jwks, not modified", h.JWKS, h.ring.Generation()},
	} {
		b.Run(one.name, func(b *testing.B) {
			w, r := &nowhere{header: http.Header{}}, httptest.NewRequest("GET", "/", nil)
			if one.match != "" {
				r.Header.Set("If-None-Match", one.match)
			}
			b.ReportAllocs()
			for b.Loop() {
				one.serve(w, r)
			}
		})
	}
}
