package fetch

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestDo(t *testing.T) {
	f, base, _ := target(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/long":
			w.Write(make([]byte, 1001))
		default:
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Seen", r.Method+" "+r.Header.Get("Authorization"))
			w.WriteHeader(http.StatusTeapot)
			w.Write(body)
		}
	})
	a, err := f.Do(t.Context(), Request{Method: "POST", URL: base + "/", Header: http.Header{"Authorization": {"Bearer x"}}, Body: []byte("code=1")})
	if err != nil || a.Status != http.StatusTeapot || string(a.Body) != "code=1" || a.Header.Get("X-Seen") != "POST Bearer x" {
		t.Errorf("got %+v, %v", a, err)
	}
	if a, err := f.Do(t.Context(), Request{URL: base + "/redirect"}); err != nil || a.Status != http.StatusFound {
		t.Errorf("a redirect: %d, %v", a.Status, err)
	}
	if _, err := f.Do(t.Context(), Request{URL: base + "/long", Limit: 1000}); !errors.Is(err, ErrTooLong) {
		t.Errorf("one byte too long: %v", err)
	}
	if a, err := f.Do(t.Context(), Request{URL: base + "/long", Limit: 1001}); err != nil || len(a.Body) != 1001 {
		t.Errorf("just long enough: %v", err)
	}
	if _, err := f.Do(t.Context(), Request{URL: strings.Replace(base, "example.com", "elsewhere.example", 1)}); err == nil || !strings.Contains(err.Error(), "not a public address") {
		t.Errorf("a name that leads inside: %v", err)
	}
	if _, err := f.Do(t.Context(), Request{URL: "http://elsewhere.example"}); err == nil {
		t.Error("no TLS")
	}
}

func TestConnectionsAreKeptOnlyIfAsked(t *testing.T) {
	for _, keep := range []bool{false, true} {
		remotes := map[string]bool{}
		f, base, _ := target(t, func(w http.ResponseWriter, r *http.Request) { remotes[r.RemoteAddr] = true })
		f.KeepAlive = keep
		f.https = f.newClient(false)
		for range 5 {
			if _, err := f.Do(t.Context(), Request{URL: base}); err != nil {
				t.Fatal(err)
			}
		}
		f.CloseIdle()
		if keep != (len(remotes) == 1) {
			t.Errorf("kept: %v, and %d connections", keep, len(remotes))
		}
	}
}
