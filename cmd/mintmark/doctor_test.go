package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What the doctor makes of a server that says ill things about itself. That a server says them
// is proved where it does.
func TestDoctorTellsWhatTheServerSays(t *testing.T) {
	now := func(off time.Duration) string { return time.Now().Add(off).UTC().Format(time.RFC3339Nano) }
	for _, tt := range []struct {
		name, info string
		want       string // a finding, as a line
	}{
		{"all is well", `"issuer":"http://localhost:1","time":"` + now(0) + `","database":{"engine":"postgres","version":"15.4","durable":true,"problems":[]}`,
			"✓ the database keeps what it promised: PostgreSQL 15.4"},
		{"a commit that is forgotten", `"time":"` + now(0) + `","database":{"engine":"postgres","version":"15","durable":false,"problems":["synchronous_commit is off. Set it to on."]}`,
			"✗ the database keeps what it promised: synchronous_commit is off. Set it to on."},
		{"an order that may change", `"time":"` + now(0) + `","database":{"engine":"postgres","version":"15","durable":true,"problems":["It sorts by en_US."]}`,
			"⚠ the database keeps what it promised: PostgreSQL 15: It sorts by en_US."},
		{"an older server", `"time":"` + now(0) + `"`, "⚠ the database keeps what it promised: the server does not tell"},
		{"a clock that is behind", `"time":"` + now(-10*time.Minute) + `"`, "✗ the clocks agree: the server's clock is -10m"},
		{"an issuer without TLS", `"issuer":"http://id.example.com","time":"` + now(0) + `"`, "✗ the issuer is https: http://id.example.com is not: put TLS in front"},
		{"escape sequences", `"time":"` + now(0) + `","database":{"engine":"x","version":"1","durable":false,"problems":["a\u001b[31mb"]}`,
			"✗ the database keeps what it promised: a"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v1/info" {
				fmt.Fprintf(w, "{%s}", tt.info)
			}
		}))
		at, err := dial(server.URL, "mm_ok_x", "", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		err = (&printer{out: &out, form: "table"}).findings(examine(context.Background(), at))
		server.Close()
		if err == nil {
			t.Errorf("%s: that there is no discovery is not told", tt.name)
		}
		if !strings.Contains(out.String(), tt.want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: want %q in\n%s", tt.name, tt.want, out.String())
		}
	}
}
