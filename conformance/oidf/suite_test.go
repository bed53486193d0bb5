package oidf_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"testing"
	"time"
)

// A suite is a running conformance suite.
type suite struct {
	t    *testing.T
	base string
	http *http.Client
}

func theSuite(t *testing.T) suite {
	base := os.Getenv("MINTMARK_OIDF")
	if base == "" {
		t.Skip("MINTMARK_OIDF names no running conformance suite: see the package comment")
	}
	return suite{t: t, base: base, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		// Its certificate is its own, on loopback.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
}

func (s suite) call(t *testing.T, method, path string, query url.Values, body, answer any) {
	t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, s.base+path+"?"+query.Encode(), reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %v\n%.500s", method, path, resp.Status, err, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

type module struct {
	Name    string `json:"testModule"`
	Variant any    `json:"variant"`
}

// judge runs every module of a plan, one after the other.
func (s suite) judge(plan string, variant map[string]string, config map[string]any) {
	s.t.Helper()
	text, _ := json.Marshal(variant)
	query := url.Values{"planName": {plan}}
	if len(variant) > 0 {
		query.Set("variant", string(text))
	}
	var made struct {
		ID      string   `json:"id"`
		Modules []module `json:"modules"`
	}
	s.call(s.t, "POST", "/api/plan", query, config, &made)
	if len(made.Modules) == 0 {
		s.t.Fatal("the plan has no modules")
	}
	only := os.Getenv("MINTMARK_OIDF_ONLY")
	for _, m := range made.Modules {
		if only != "" && only != m.Name {
			continue
		}
		s.t.Run(m.Name, func(t *testing.T) { s.run(t, made.ID, m) })
	}
}

// accepted is every warning that we let stand, and why.
var accepted = map[string]string{}

func (s suite) run(t *testing.T, plan string, m module) {
	query := url.Values{"test": {m.Name}, "plan": {plan}}
	if m.Variant != nil {
		text, _ := json.Marshal(m.Variant)
		query.Set("variant", string(text))
	}
	var started struct{ ID string }
	s.call(t, "POST", "/api/runner", query, nil, &started)
	var info struct{ Status, Result string }
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		s.call(t, "GET", "/api/info/"+started.ID, nil, nil, &info)
		if info.Status == "FINISHED" || info.Status == "INTERRUPTED" {
			break
		}
		if time.Now().After(end) {
			t.Errorf("still %s after 4 minutes", info.Status)
			s.call(t, "DELETE", "/api/runner/"+started.ID, nil, nil, nil)
			break
		}
	}
	t.Logf("%s: %s", m.Name, info.Result)
	switch info.Result {
	case "PASSED", "REVIEW", "SKIPPED":
		return
	case "WARNING":
		if why, ok := accepted[m.Name]; ok {
			t.Log("accepted: " + why)
			return
		}
	}
	t.Errorf("%s %s:\n%s", info.Status, info.Result, s.complaints(t, started.ID))
}

// complaints is what the suite found wrong.
func (s suite) complaints(t *testing.T, id string) string {
	var entries []map[string]any
	s.call(t, "GET", "/api/log/"+id, nil, nil, &entries)
	var out bytes.Buffer
	for i, e := range entries {
		if result, _ := e["result"].(string); slices.Contains([]string{"FAILURE", "WARNING", "INTERRUPTED"}, result) {
			fmt.Fprintf(&out, "%s %v: %v\n", result, e["src"], e["msg"])
			for _, k := range []string{"error", "expected", "actual", "cause", "stacktrace"} {
				if v, ok := e[k]; ok {
					fmt.Fprintf(&out, "    %s: %.600v\n", k, v)
				}
			}
		} else if i > len(entries)-4 {
			fmt.Fprintf(&out, "… %v: %.300v\n", e["src"], e["msg"])
		}
	}
	return out.String()
}
