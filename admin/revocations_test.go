package admin_test

import (
	"bufio"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/apikeys"
)

// revoke revokes tokens.
func (op *operator) revokeTokens(jtis ...string) {
	op.t.Helper()
	var all sync.WaitGroup
	for part := range slices.Chunk(jtis, max(len(jtis)/64, 1)) {
		all.Go(func() {
			for _, jti := range part {
				if err := op.db.Issuer().RevokeToken(op.t.Context(), jti, time.Now().Add(time.Hour)); err != nil {
					op.t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestRevocationsPageByPage(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		seq := func(a answer) string { return fmt.Sprint(a.body["seq"]) }
		start := seq(op.ask("GET", "/revocations", nil))
		op.revokeTokens("one", "two")
		a := op.ask("GET", "/revocations?since="+start, nil)
		if a.status != 200 || strings.Count(a.text, `"kind":"token"`) != 2 || !strings.Contains(a.text, `"ref":"one"`) || !strings.Contains(a.text, `"revoked":true`) {
			t.Fatalf("%d %s", a.status, a.text)
		}
		if a = op.ask("GET", "/revocations?since="+seq(a), nil); a.status != 200 || len(a.body["items"].([]any)) != 0 {
			t.Errorf("%d %s", a.status, a.text)
		}
		var many []string
		for i := range 2010 {
			many = append(many, fmt.Sprintf("many-%d", i))
		}
		op.revokeTokens(many...)
		a = op.ask("GET", "/revocations?since="+start, nil)
		next, _ := a.body["next"].(string)
		if len(a.body["items"].([]any)) != 2000 || next == "" {
			t.Fatalf("the first page has %d, next %q", len(a.body["items"].([]any)), next)
		}
		a = op.ask("GET", "/revocations?since="+next, nil)
		if len(a.body["items"].([]any)) != 12 || a.body["next"] != nil {
			t.Errorf("the second page has %d, next %v", len(a.body["items"].([]any)), a.body["next"])
		}

		// From another database, from this one in another epoch, and from nowhere.
		epoch, low, _ := strings.Cut(start, ".")
		for _, gone := range []string{"9000000000000000000", "9000000000000000000-1-token-x.y", "1", "." + low, "abc." + low, "abc." + low + "-1-token-x.y",
			epoch + ".9000000000000000000", epoch + ".9000000000000000000-1-token-x"} {
			op.refuses(410, "gone", "GET", "/revocations?since="+gone, nil)
			op.refuses(410, "gone", "GET", "/revocations/snapshot?since="+gone, nil)
			op.refuses(410, "gone", "GET", "/revocations?since="+gone, nil, "Accept", "text/event-stream")
		}
		for _, wrong := range []string{"x", "-1", "1-2", "1-2-3", "1-x-token-y", "99999999999999999999", ".", "1.", "x.1", epoch + ".x", epoch + ".1-2-3", epoch + ".-1"} {
			op.refuses(400, "bad_request", "GET", "/revocations?since="+wrong, nil)
		}
	})
}

// Whose key may hear.
func TestWhoMayHearOfRevocations(t *testing.T) {
	op := onSQLite(t)
	service, err := op.apiKeys.AddService(t.Context(), "orders", "", apikeys.By{})
	must(t, err)
	for _, tt := range []struct {
		scopes []string
		status int
	}{{[]string{"revocations:read"}, 200}, {[]string{"keys:verify", "keys:read"}, 403}} {
		key := op.makeKey(apikeys.New{OwnerType: "service", OwnerID: service.ID, Scopes: tt.scopes})
		for _, path := range []string{"/revocations", "/revocations/snapshot"} {
			if a := op.ask("GET", path, nil, "Authorization", "ApiKey "+key); a.status != tt.status {
				t.Errorf("%v: %d", tt.scopes, a.status)
			}
		}
	}
}

// A stream tells what was since the id that somebody had, and then what comes.
func TestRevocationsAsTheyHappen(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		first := op.stream(t, "")
		op.revokeTokens("one")
		line, id := first.wants(t, "one")
		if !strings.HasPrefix(line, `data: [{"kind":"token","ref":"one","until":`) || id == "" {
			t.Errorf("%q, id %q", line, id)
		}
		first.close()
		op.revokeTokens("two")
		second := op.stream(t, id)
		second.wants(t, "two")
		op.revokeTokens("three")
		second.wants(t, "three")
		op.hub.End()
		if second.lines.Scan(); second.lines.Err() != nil {
			t.Errorf("it ends with %v", second.lines.Err())
		}
		op.refuses(503, "busy", "GET", "/revocations", nil, "Accept", "text/event-stream")
	})
}

// A HEAD ends, whatever it accepts.
func TestHeadOfAStream(t *testing.T) {
	op := onSQLite(t)
	r, err := http.NewRequest("HEAD", op.url+"/api/v1/revocations", nil)
	must(t, err)
	r.Header.Set("Authorization", "ApiKey "+op.key)
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
}

type stream struct {
	lines *bufio.Scanner
	close func() error
}

func (op *operator) stream(t *testing.T, last string) *stream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", op.url+"/api/v1/revocations", nil)
	must(t, err)
	r.Header.Set("Authorization", "ApiKey "+op.key)
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return &stream{bufio.NewScanner(resp.Body), resp.Body.Close}
}

// wants reads until somebody is told of ref, and returns that line and the id after it.
func (s *stream) wants(t *testing.T, ref string) (line, id string) {
	t.Helper()
	for s.lines.Scan() {
		switch text := s.lines.Text(); {
		case strings.Contains(text, `"`+ref+`"`):
			line = text
		case line != "" && strings.HasPrefix(text, "id: "):
			return line, text[len("id: "):]
		}
	}
	t.Fatalf("the stream ends before %s: %v", ref, s.lines.Err())
	return "", ""
}
