package storagetest

import (
	"fmt"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/storage"
)

// event is an entry of the audit log about something, at the story's time and some more.
func (w *world) event(action, ref string, later time.Duration) apikeys.Event {
	at := w.now.Add(later)
	return apikeys.Event{
		ID: fmt.Sprintf("%014x%s", at.UnixMicro(), fmt.Sprintf("%x", secret.Bytes(6))), At: at, Actor: "usr_1", Via: "api",
		Action: action, Ref: ref, Detail: "why", Address: "2001:db8::1", RequestID: "req_1",
	}
}

// newKey is a key of a service with everything that it can have.
func (w *world) newKey() apikeys.Key {
	return apikeys.Key{
		ID: secret.NewShortID(), Kind: secret.KindServiceKey, OwnerType: "service", OwnerID: "svc_1", Name: "CI",
		Digest: secret.Bytes(32), Scopes: []string{"users:read", "clients:write"}, Audience: []string{"https://api.example"},
		Allow: []string{"192.0.2.0/24", "2001:db8::/32"}, Deny: []string{"192.0.2.1/32"}, Limits: []string{"default:600/60s"},
		Metadata: []byte(`{"team":"blue"}`), CreatedAt: w.now, CreatedBy: "usr_1", CreatedVia: "api", UpdatedAt: w.now,
		NotBefore: w.now, ExpiresAt: w.now.Add(time.Hour), Reason: "x", Replaces: "01234567890", Version: 7,
		IdleExpiry: 90 * 24 * time.Hour,
	}
}

func (w *world) key(change ...func(*apikeys.Key)) apikeys.Key {
	w.t.Helper()
	k := w.newKey()
	for _, c := range change {
		c(&k)
	}
	w.must(w.apiKeys.AddKey(w.ctx, k, 0, w.event("key.add", k.ID, 0)))
	return k
}

// isKept wants a key to be as it is said.
func (w *world) isKept(k apikeys.Key) {
	w.t.Helper()
	got, err := w.apiKeys.Key(w.ctx, k.ID)
	w.must(err)
	w.same(k, got)
}

// actions is what the audit log has about something, oldest first.
func (w *world) actions(ref string) (all []string) {
	w.t.Helper()
	events, err := w.apiKeys.Events(w.ctx, apikeys.Page{Limit: 1000}, ref, true)
	w.must(err)
	for _, e := range events {
		all = append(all, e.Action)
	}
	return all
}

func apiKeysAreRemembered(t *testing.T, w *world) {
	k := w.key()
	w.isKept(k)
	got, err := w.apiKeys.KeyByDigest(w.ctx, k.Digest)
	w.must(err)
	w.same(k, got)
	_, err = w.apiKeys.Key(w.ctx, "unknown")
	w.wants(apikeys.ErrNotFound, err)
	_, err = w.apiKeys.KeyByDigest(w.ctx, secret.Bytes(32))
	w.wants(apikeys.ErrNotFound, err)

	sameID, sameDigest := w.newKey(), w.newKey()
	sameID.ID, sameDigest.Digest = k.ID, k.Digest
	w.wants(apikeys.ErrExists, w.apiKeys.AddKey(w.ctx, sameID, 0, w.event("key.add", k.ID, 0)))
	w.wants(apikeys.ErrExists, w.apiKeys.AddKey(w.ctx, sameDigest, 0, w.event("key.add", sameDigest.ID, 0)))
	w.isKept(k)
	w.same([]string{"key.add"}, w.actions(k.ID))
	w.same([]string{}, w.actions(sameDigest.ID))

	forever := apikeys.Key{ID: secret.NewShortID(), Kind: secret.KindOrganizationKey, OwnerType: "instance", Digest: secret.Bytes(32), CreatedAt: w.now}
	w.must(w.apiKeys.AddKey(w.ctx, forever, 0, w.event("key.add", forever.ID, 0)))
	w.isKept(forever)

	imported := w.key(func(k *apikeys.Key) { k.Kind = apikeys.KindImported })
	ids, err := w.apiKeys.Imported(w.ctx)
	w.must(err)
	w.same(map[[32]byte]string{[32]byte(imported.Digest): imported.ID}, ids)

	other := w.key(func(k *apikeys.Key) { k.OwnerType, k.OwnerID = "account", "usr_9" })
	mine, err := w.apiKeys.Keys(w.ctx, apikeys.Page{Limit: 10}, "usr_9")
	w.must(err)
	w.same([]apikeys.Key{other}, mine)
	var seen []string
	page := apikeys.Page{Limit: 2}
	for {
		part, err := w.apiKeys.Keys(w.ctx, page, "")
		w.must(err)
		for _, k := range part {
			seen = append(seen, k.ID)
			page.After = k.ID
		}
		if len(part) == 0 {
			break
		}
	}
	if len(seen) != 4 {
		t.Errorf("the pages have %v", seen)
	}
}

func apiKeysAreChanged(t *testing.T, w *world) {
	k := w.key()
	set := k
	set.Name, set.Scopes, set.Audience, set.Allow, set.Deny, set.Limits, set.Metadata = "new", nil, nil, nil, nil, nil, nil
	set.NotBefore, set.ExpiresAt = time.Time{}, w.now.Add(2*time.Hour)
	w.must(w.apiKeys.SetKey(w.ctx, set, w.event("key.set", k.ID, time.Second)))
	w.wants(apikeys.ErrConflict, w.apiKeys.SetKey(w.ctx, set, w.event("key.set", k.ID, time.Second))) // of the old version
	set.Version, set.UpdatedAt = 8, w.now.Add(time.Second)
	w.isKept(set)
	unknown := w.newKey()
	w.wants(apikeys.ErrNotFound, w.apiKeys.SetKey(w.ctx, unknown, w.event("key.set", unknown.ID, 0)))

	w.must(w.apiKeys.DisableKey(w.ctx, k.ID, "holiday", w.event("key.disable", k.ID, 2*time.Second)))
	set.Disabled, set.Reason, set.Version, set.UpdatedAt = true, "holiday", 9, w.now.Add(2*time.Second)
	w.isKept(set)
	w.must(w.apiKeys.EnableKey(w.ctx, k.ID, w.event("key.enable", k.ID, 3*time.Second)))
	set.Disabled, set.Reason, set.Version, set.UpdatedAt = false, "", 10, w.now.Add(3*time.Second)
	w.isKept(set)
	w.wants(apikeys.ErrNotFound, w.apiKeys.DisableKey(w.ctx, "unknown", "", w.event("key.disable", "unknown", 0)))

	w.must(w.apiKeys.RevokeKey(w.ctx, k.ID, "gone", false, w.event("key.revoke", k.ID, 4*time.Second)))
	w.must(w.apiKeys.RevokeKey(w.ctx, k.ID, "again", false, w.event("key.revoke", k.ID, 5*time.Second)))
	set.RevokedAt, set.Reason, set.Version, set.UpdatedAt = w.now.Add(4*time.Second), "gone", 11, w.now.Add(4*time.Second)
	w.isKept(set)
	w.must(w.apiKeys.RevokeKey(w.ctx, k.ID, "found", true, w.event("key.leak", k.ID, 6*time.Second)))
	set.Leaked, set.Reason, set.Version, set.UpdatedAt = true, "found", 12, w.now.Add(6*time.Second)
	w.isKept(set)
	w.wants(apikeys.ErrNotFound, w.apiKeys.RevokeKey(w.ctx, "unknown", "", false, w.event("key.revoke", "unknown", 0)))
	w.wants(apikeys.ErrConflict, w.apiKeys.EnableKey(w.ctx, k.ID, w.event("key.enable", k.ID, 7*time.Second)))
	w.wants(apikeys.ErrConflict, w.apiKeys.SetKey(w.ctx, set, w.event("key.set", k.ID, 7*time.Second)))
	w.isKept(set)

	// What did not happen is not in the log.
	w.same([]string{"key.add", "key.set", "key.disable", "key.enable", "key.revoke", "key.leak"}, w.actions(k.ID))
	w.same([]string{}, w.actions("unknown"))
}

func aKeyIsRotatedOnce(t *testing.T, w *world) {
	k := w.key()
	grace := w.now.Add(time.Hour)
	next := make([]apikeys.Key, racers)
	for i := range next {
		next[i] = w.newKey()
		next[i].Replaces = k.ID
	}
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.APIKeys().RotateKey(w.ctx, next[i], grace, w.event("key.rotate", k.ID, time.Second))
	}), apikeys.ErrConflict)
	k.ReplacedBy, k.GraceUntil, k.UpdatedAt, k.Version = next[winner].ID, grace, w.now.Add(time.Second), 8
	w.isKept(k)
	w.isKept(next[winner])
	w.same([]string{"key.add", "key.rotate"}, w.actions(k.ID))
	all, err := w.apiKeys.Keys(w.ctx, apikeys.Page{Limit: 100}, "")
	w.must(err)
	if len(all) != 2 {
		t.Errorf("there are %d keys", len(all))
	}

	gone := w.key()
	w.must(w.apiKeys.RevokeKey(w.ctx, gone.ID, "", false, w.event("key.revoke", gone.ID, 0)))
	late := w.newKey()
	late.Replaces = gone.ID
	w.wants(apikeys.ErrConflict, w.apiKeys.RotateKey(w.ctx, late, grace, w.event("key.rotate", gone.ID, 0)))
	late.Replaces = "unknown"
	w.wants(apikeys.ErrNotFound, w.apiKeys.RotateKey(w.ctx, late, grace, w.event("key.rotate", "unknown", 0)))
	_, err = w.apiKeys.Key(w.ctx, late.ID)
	w.wants(apikeys.ErrNotFound, err)
}

func aKeyStandsWithItsOwner(t *testing.T, w *world) {
	person := w.account()
	service := apikeys.Service{ID: secret.NewID("svc"), Name: "worker", Description: "does", CreatedAt: w.now, CreatedBy: "usr_1"}
	w.must(w.apiKeys.AddService(w.ctx, service, w.event("service.add", service.ID, 0)))
	got, err := w.apiKeys.Service(w.ctx, service.ID)
	w.must(err)
	w.same(service, got)
	same := service
	same.ID = secret.NewID("svc")
	w.wants(apikeys.ErrExists, w.apiKeys.AddService(w.ctx, same, w.event("service.add", same.ID, 0)))

	persons := w.key(func(k *apikeys.Key) { k.OwnerType, k.OwnerID = "account", person.ID })
	services := w.key(func(k *apikeys.Key) { k.OwnerID = service.ID })
	instances := w.key(func(k *apikeys.Key) { k.OwnerType, k.OwnerID = "instance", "" })
	nobodys := w.key(func(k *apikeys.Key) { k.OwnerID = "svc_nobody" })
	stand := func(k apikeys.Key, want bool) {
		t.Helper()
		got, owner, err := w.apiKeys.Standing(w.ctx, k.ID)
		w.must(err)
		if owner != want || got.ID != k.ID {
			t.Errorf("the key of %s %s: %v", k.OwnerType, k.OwnerID, owner)
		}
		there, err := w.apiKeys.OwnerStands(w.ctx, k.OwnerType, k.OwnerID)
		w.must(err)
		if k.OwnerType != "instance" && there != want {
			t.Errorf("%s %s: %v", k.OwnerType, k.OwnerID, there)
		}
	}
	stand(persons, true)
	stand(services, true)
	stand(instances, true)
	stand(nobodys, false)
	_, _, err = w.apiKeys.Standing(w.ctx, "unknown")
	w.wants(apikeys.ErrNotFound, err)

	w.must(w.people.DisableAccount(w.ctx, person.ID, w.now))
	stand(persons, false)
	w.must(w.people.EnableAccount(w.ctx, person.ID, w.now))
	stand(persons, true)
	w.must(w.people.RemoveAccount(w.ctx, person.ID, w.now))
	stand(persons, false)

	w.must(w.apiKeys.DisableService(w.ctx, service.ID, w.event("service.disable", service.ID, time.Second)))
	stand(services, false)
	service.DisabledAt = w.now.Add(time.Second)
	found, err := w.apiKeys.Services(w.ctx, apikeys.Page{Limit: 10}, "worker")
	w.must(err)
	w.same([]apikeys.Service{service}, found)
	w.must(w.apiKeys.EnableService(w.ctx, service.ID, w.event("service.enable", service.ID, 2*time.Second)))
	stand(services, true)
	w.must(w.apiKeys.RemoveService(w.ctx, service.ID, w.event("service.remove", service.ID, 3*time.Second)))
	stand(services, false)
	k, err := w.apiKeys.Key(w.ctx, services.ID)
	w.must(err)
	if !k.RevokedAt.Equal(w.now.Add(3 * time.Second)) {
		t.Errorf("the key of a removed service was revoked at %s", k.RevokedAt)
	}
	w.same([]string{"key.add", "key.revoke"}, w.actions(services.ID))
	w.same([]string{"key.add"}, w.actions(persons.ID))
	events, err := w.apiKeys.Events(w.ctx, apikeys.Page{Limit: 1}, services.ID, false)
	w.must(err)
	want := w.event("key.revoke", services.ID, 3*time.Second)
	want.ID, want.Detail = events[0].ID, "its owner was removed"
	w.same(want, events[0])
	_, err = w.apiKeys.Service(w.ctx, service.ID)
	w.wants(apikeys.ErrNotFound, err)
	w.wants(apikeys.ErrNotFound, w.apiKeys.RemoveService(w.ctx, service.ID, w.event("service.remove", service.ID, 4*time.Second)))
	w.wants(apikeys.ErrNotFound, w.apiKeys.DisableService(w.ctx, service.ID, w.event("service.disable", service.ID, 4*time.Second)))
	found, err = w.apiKeys.Services(w.ctx, apikeys.Page{Limit: 10}, "")
	w.must(err)
	w.same([]apikeys.Service{}, found)
	w.must(w.apiKeys.AddService(w.ctx, same, w.event("service.add", same.ID, 0))) // the name is free again
	w.same([]string{"service.add", "service.disable", "service.enable", "service.remove"}, w.actions(service.ID))
}

func usesAddUp(t *testing.T, w *world) {
	k := w.key()
	w.must(w.apiKeys.UseKeys(w.ctx, nil))
	for _, err := range w.race(func(db *storage.DB, i int) error {
		return db.APIKeys().UseKeys(w.ctx, []apikeys.Use{{
			ID: k.ID, At: w.now.Add(time.Duration(i) * time.Second), Uses: 2, Address: fmt.Sprintf("192.0.2.%d", i), Scopes: []string{"b", "a"},
		}})
	}) {
		w.must(err)
	}
	k.Uses, k.LastUsedAt, k.LastAddress = 2*racers, w.now.Add((racers-1)*time.Second), fmt.Sprintf("192.0.2.%d", racers-1)
	w.isKept(k)
	scopes, err := w.apiKeys.UsedScopes(w.ctx, k.ID, k.ID)
	w.must(err)
	w.same(map[string][]string{k.ID: {"a", "b"}}, scopes)
}

func theAuditLogIsInOrder(t *testing.T, w *world) {
	k := w.key()
	for i := range 5 {
		w.must(w.apiKeys.EnableKey(w.ctx, k.ID, w.event(fmt.Sprint("step ", i), k.ID, time.Duration(i+1)*time.Second)))
	}
	w.key()
	names := func(p apikeys.Page, ref string, forward bool) (all []string) {
		events, err := w.apiKeys.Events(w.ctx, p, ref, forward)
		w.must(err)
		for _, e := range events {
			all = append(all, e.Action)
		}
		return all
	}
	events, err := w.apiKeys.Events(w.ctx, apikeys.Page{Limit: 3}, k.ID, false)
	w.must(err)
	if len(events) != 3 || events[0].Action != "step 4" {
		t.Fatalf("the newest are %v", events)
	}
	want := w.event("step 4", k.ID, 5*time.Second)
	want.ID = events[0].ID
	w.same(want, events[0])
	w.same([]string{"step 1", "step 0", "key.add"}, names(apikeys.Page{After: events[2].ID, Limit: 10}, k.ID, false))
	w.same([]string{"step 3", "step 4"}, names(apikeys.Page{After: events[2].ID, Limit: 10}, k.ID, true))
	if all := names(apikeys.Page{Limit: 10}, "", false); len(all) != 7 || all[0] != "step 4" {
		t.Errorf("all is %v", all)
	}
	if all := names(apikeys.Page{Limit: 10}, "", true); len(all) != 7 || all[6] != "step 4" {
		t.Errorf("all is %v", all)
	}
}
