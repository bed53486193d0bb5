package apikeys

import (
	"context"
	"slices"
	"time"
)

// When a key needs a look.
const (
	lateAfter  = 180 * 24 * time.Hour // it expires no earlier
	idleAfter  = 90 * 24 * time.Hour  // it was not used for so long
	youngUntil = 7 * 24 * time.Hour   // before that, it may be that nobody has come round to using it
)

// Findings are what can be wrong with a key, in the order in which [Registry.Report] tells it.
func Findings() []string {
	names := make([]string, len(findings))
	for i, f := range findings {
		names[i] = f.name
	}
	return names
}

// findings are what is looked for. Of a key that is over only leaked is true.
var findings = []struct {
	name string
	true func(k Reported, now time.Time) bool
}{
	{"leaked", func(k Reported, _ time.Time) bool { return k.Leaked }},
	{"never_expires", func(k Reported, _ time.Time) bool { return k.ExpiresAt.IsZero() }},
	{"expires_late", func(k Reported, now time.Time) bool { return k.ExpiresAt.Sub(now) > lateAfter }},
	{"never_used", func(k Reported, now time.Time) bool {
		return k.Uses == 0 && now.Sub(k.CreatedAt) >= youngUntil
	}},
	{"idle", func(k Reported, now time.Time) bool { return k.Uses > 0 && now.Sub(k.LastUsedAt) >= idleAfter }},
	{"wider_than_used", func(k Reported, now time.Time) bool {
		return k.Uses > 0 && len(k.UnusedScopes) > 0 && now.Sub(k.CreatedAt) >= youngUntil
	}},
	{"admin_from_anywhere", func(k Reported, _ time.Time) bool {
		return k.OwnerType == OwnerInstance && len(k.Scopes) > 0 && len(k.Allow) == 0
	}},
}

// A Reported is a key that needs a look.
type Reported struct {
	Key
	Findings     []string // the names of what is wrong with it
	UnusedScopes []string // that it has and was never used for, if anybody said for what it was used
}

const (
	reportPage = 500
	// reportMost is how many keys are looked at for one answer.
	reportMost = 10_000
)

// Report lists keys that need a look, by id: at most p.Limit, of one owner if ownerID is not empty,
// and with one finding if that is not empty. Where it stopped looking is the id after which to go on;
// empty: there is no more.
func (r *Registry) Report(ctx context.Context, p Page, ownerID, finding string, now time.Time) (found []Reported, next string, err error) {
	after := p.After
	for range reportMost / reportPage {
		keys, err := r.Store.Keys(ctx, Page{After: after, Limit: reportPage}, ownerID)
		if err != nil || len(keys) == 0 {
			return found, "", err
		}
		used, err := r.Store.UsedScopes(ctx, keys[0].ID, keys[len(keys)-1].ID)
		if err != nil {
			return nil, "", err
		}
		for _, k := range keys {
			if len(found) == p.Limit {
				return found, after, nil
			}
			after = k.ID
			one := report(k, used[k.ID], now)
			if len(one.Findings) > 0 && (finding == "" || slices.Contains(one.Findings, finding)) {
				found = append(found, one)
			}
		}
		if len(keys) < reportPage {
			return found, "", nil
		}
	}
	return found, after, nil
}

// report says what is wrong with a key that was used for some scopes.
func report(k Key, used []string, now time.Time) Reported {
	one := Reported{Key: k}
	for _, scope := range k.Scopes {
		if !slices.Contains(used, scope) {
			one.UnusedScopes = append(one.UnusedScopes, scope)
		}
	}
	over := !slices.Contains([]string{"active", "pending", "disabled"}, k.Status(now))
	for _, f := range findings {
		if (!over || f.name == "leaked") && f.true(one, now) {
			one.Findings = append(one.Findings, f.name)
		}
	}
	return one
}
