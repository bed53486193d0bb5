package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/apikeys"
)

// The operator's webhook is told of a leaked key until it says that it has heard, signed, and without
// the key.
func TestTheWebhookIsTold(t *testing.T) {
	const secret = "a-secret-of-some-length"
	answers := []int{500, 302, 200}
	var got []string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !apikeys.CheckMAC([]byte(secret), r.Header.Get(apikeys.HeaderMAC), body, time.Now()) || apikeys.CheckMAC([]byte("another"), r.Header.Get(apikeys.HeaderMAC), body, time.Now()) {
			t.Errorf("signed %q", r.Header.Get(apikeys.HeaderMAC))
		}
		got = append(got, string(body))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(answers[len(got)-1])
	}))
	defer hook.Close()
	s, l := start(t, func(c *Config) { c.NoticeURL, c.NoticeSecret = hook.URL+"/?token=hush", secret })
	ctx := t.Context()
	k, key, err := s.apiKeys.Make(ctx, apikeys.New{Name: "ci"}, apikeys.By{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := s.apiKeys.Leaked(ctx, key.Reveal(), "a test", "https://found.example/here", apikeys.By{Actor: "test"}); !ours || err != nil {
		t.Fatal(ours, err)
	}
	now := time.Now()
	for i, answer := range answers {
		n, body, some, err := s.apiKeys.NextNotice(ctx, now)
		if err != nil || !some {
			t.Fatalf("try %d: %v %v", i, some, err)
		}
		told := s.tell(ctx, body)
		if (told == nil) != (answer == 200) {
			t.Errorf("try %d: %v", i, told)
		}
		if err := s.apiKeys.Told(ctx, n, told == nil, now); err != nil {
			t.Fatal(err)
		}
		if err := s.notices(ctx); err != nil { // its time has not come again
			t.Fatal(err)
		}
		now = now.Add(time.Hour)
	}
	var notice struct {
		ID, Type, Detail string
		Key              struct{ ID, Status string }
	}
	if err := json.Unmarshal([]byte(got[2]), &notice); err != nil || notice.Type != apikeys.NoticeLeaked || notice.Key.ID != k.ID || notice.Key.Status != "leaked" || notice.Detail != "reported by a test: found.example/here" {
		t.Errorf("%s %v", got[2], err)
	}
	if len(got) != 3 || len(slices.Compact(slices.Clone(got))) != 1 {
		t.Errorf("told %q", got)
	}
	if all := strings.Join(got, "") + l.String(); strings.Contains(all, key.Reveal()) || strings.Contains(all, "hush") {
		t.Error("a secret is told")
	}
	// What nobody hears is given up, in the end.
	k, _, err = s.apiKeys.Make(ctx, apikeys.New{Name: "other"}, apikeys.By{Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.apiKeys.Revoke(ctx, k.ID, "", true, apikeys.By{Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	tries := 0
	for ; tries < 20; tries++ {
		n, _, some, err := s.apiKeys.NextNotice(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		if !some {
			break
		}
		if err := s.apiKeys.Told(ctx, n, false, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(7 * time.Hour)
	}
	if tries != 8 {
		t.Errorf("it was tried %d times", tries)
	}
}
