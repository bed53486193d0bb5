package apikeys_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/apikeys"
)

// The report names what is wrong with each key, and nothing of those that are well.
func TestTheKeyReport(t *testing.T) {
	story(t, func(t *testing.T, r *apikeys.Registry) {
		const day = 24 * time.Hour
		service := serviceOf(t, r)
		want := map[string]string{}
		add := func(findings string, n apikeys.New, uses ...apikeys.Ask) apikeys.Key {
			t.Helper()
			n.Name = fmt.Sprint(len(want), " ", findings)
			if n.OwnerType == "" {
				n.OwnerType, n.OwnerID = "service", service
			}
			k, key := made(t, r, n)
			for _, use := range uses {
				use.Key = key
				if _, err := r.Check(t.Context(), use, noon); err != nil {
					t.Fatal(err)
				}
			}
			want[k.ID] = findings
			return k
		}
		soon := noon.Add(200 * day)
		orders := []string{"orders:read", "orders:write"}
		add("", apikeys.New{Scopes: orders, ExpiresAt: soon}, apikeys.Ask{Scope: "orders:read orders:write"})
		add("wider_than_used", apikeys.New{Scopes: orders, ExpiresAt: soon}, apikeys.Ask{Scope: "orders:read"})
		add("never_used", apikeys.New{Scopes: orders, ExpiresAt: soon})
		add("expires_late never_used", apikeys.New{ExpiresAt: noon.Add(366 * day)})
		add("never_expires never_used", apikeys.New{OwnerType: "instance", Forever: true})
		add("never_used admin_from_anywhere", apikeys.New{OwnerType: "instance", Scopes: []string{"users:read"}, ExpiresAt: soon})
		add("never_used", apikeys.New{OwnerType: "instance", Scopes: []string{"users:read"}, ExpiresAt: soon, Allow: []string{"192.0.2.1"}})
		gone, found := add("", apikeys.New{}), add("leaked", apikeys.New{})
		for id, leaked := range map[string]bool{gone.ID: false, found.ID: true} {
			if err := r.Revoke(t.Context(), id, "", leaked, apikeys.By{At: noon}); err != nil {
				t.Fatal(err)
			}
		}
		add("", apikeys.New{ExpiresAt: noon.Add(day)}) // it is over
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := noon.Add(80 * day)
		got := map[string]string{}
		page := apikeys.Page{Limit: 2}
		for {
			part, next, err := r.Report(t.Context(), page, "", "", at)
			if err != nil || len(part) > 2 {
				t.Fatal(len(part), err)
			}
			for _, k := range part {
				got[k.ID] = strings.Join(k.Findings, " ")
			}
			if page.After = next; next == "" {
				break
			}
		}
		for id, findings := range want {
			if got[id] != findings {
				t.Errorf("%q, want %q", got[id], findings)
			}
		}
		idle, _, err := r.Report(t.Context(), apikeys.Page{Limit: 10}, service, "idle", noon.Add(91*day))
		if err != nil || len(idle) != 2 || !slices.Contains(idle[0].Findings, "idle") {
			t.Errorf("%d of the service are idle after 91 days: %v", len(idle), err)
		}
		if names := apikeys.Findings(); len(names) != 7 {
			t.Errorf("the findings are %v", names)
		}
	})
}
