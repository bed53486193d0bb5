package storagetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/storage"
)

func clientsAreLookedAfter(t *testing.T, w *world) {
	age := int64(3600)
	c := issuer.Client{
		ID: secret.NewID("cli"), Name: "Büro & Co", Type: "web",
		RedirectURIs: []string{"https://a.example/cb?x=1&y=<2>"}, PostLogoutRedirectURIs: []string{"https://a.example/"},
		GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"}, AuthMethod: "private_key_jwt", AuthSigningAlg: "ES256",
		JWKS: []byte(`{"keys":[]}`), JWKSURI: "https://a.example/jwks", Scopes: []string{"openid", "offline_access"}, IDTokenAlg: "ES256",
		AccessTokenFormat: "opaque", AccessTokenAlg: "RS256", RequirePKCE: true, RequirePAR: true, RequireDPoP: true, Consent: "always",
		Audience: []string{"https://api.example"}, DefaultMaxAge: &age, RequireAuthTime: true, Contacts: []string{"a@example.com"},
		URI: "https://a.example", LogoURI: "https://a.example/logo", PolicyURI: "https://a.example/policy", TermsURI: "https://a.example/tos",
		Secrets: []issuer.ClientSecret{
			{Hash: "sha256:one", CreatedAt: w.now},
			{Hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)},
		},
		CreatedAt: w.now, UpdatedAt: w.now,
	}
	get := func(id string) issuer.Client {
		got, err := w.registry.Client(w.ctx, id)
		w.must(err)
		also, err := w.issuer.Client(w.ctx, id)
		w.must(err)
		w.same(got, also)
		return got
	}
	w.must(w.registry.AddClient(w.ctx, c))
	w.same(c, get(c.ID))
	w.wants(issuer.ErrExists, w.registry.AddClient(w.ctx, issuer.Client{ID: c.ID, CreatedAt: w.now}))
	w.same(c, get(c.ID))
	_, err := w.issuer.Client(w.ctx, "unknown")
	w.wants(issuer.ErrNotFound, err)

	bare := issuer.Client{ID: secret.NewID("cli"), CreatedAt: w.now, UpdatedAt: w.now}
	w.must(w.registry.AddClient(w.ctx, bare))
	w.same(bare, get(bare.ID))

	page, err := w.registry.Clients(w.ctx, issuer.Page{Limit: 1})
	w.must(err)
	w.same([]issuer.Client{c}, page)
	page, err = w.registry.Clients(w.ctx, issuer.Page{After: c.ID, Limit: 10})
	w.must(err)
	w.same([]issuer.Client{bare}, page)

	// SetClient replaces everything of a client but ID, Secrets, CreatedAt and DisabledAt.
	later := w.now.Add(time.Hour)
	w.must(w.registry.DisableClient(w.ctx, c.ID, w.now))
	w.must(w.registry.SetClient(w.ctx, issuer.Client{ID: c.ID, Name: "New", Scopes: []string{"email"}, CreatedAt: later, UpdatedAt: later}, c.UpdatedAt))
	want := issuer.Client{ID: c.ID, Name: "New", Scopes: []string{"email"}, Secrets: c.Secrets, CreatedAt: c.CreatedAt, UpdatedAt: later, DisabledAt: w.now}
	w.same(want, get(c.ID))

	// A change is of the client as it was read: of any number of changes of the same one happens.
	w.wants(issuer.ErrChanged, w.registry.SetClient(w.ctx, issuer.Client{ID: c.ID, Name: "Late", UpdatedAt: later}, c.UpdatedAt))
	w.same(want, get(c.ID))
	w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		return db.Registry().SetClient(w.ctx, issuer.Client{ID: c.ID, Name: fmt.Sprint(i), UpdatedAt: later.Add(time.Second)}, later)
	}), issuer.ErrChanged)
	want.UpdatedAt = later.Add(time.Second)
	w.must(w.registry.SetClient(w.ctx, issuer.Client{ID: c.ID, Name: "New", Scopes: []string{"email"}, UpdatedAt: later}, want.UpdatedAt))
	want.UpdatedAt = later
	w.must(w.registry.DisableClient(w.ctx, c.ID, later))
	w.same(w.now, get(c.ID).DisabledAt)
	w.must(w.registry.EnableClient(w.ctx, c.ID, later))
	w.same(time.Time{}, get(c.ID).DisabledAt)

	// Secrets are replaced by whoever knows the present ones: one of any number.
	made := make([][]issuer.ClientSecret, racers)
	winner := w.wantOneWinner(w.race(func(db *storage.DB, i int) error {
		made[i] = []issuer.ClientSecret{{Hash: "sha256:" + secret.Random62(64), CreatedAt: w.now}}
		return db.Registry().SetClientSecrets(w.ctx, c.ID, c.Secrets, made[i], later)
	}), issuer.ErrNotFound)
	w.same(made[winner], get(c.ID).Secrets)
	w.must(w.registry.SetClientSecrets(w.ctx, c.ID, []issuer.ClientSecret{{Hash: made[winner][0].Hash}}, nil, later)) // by hash alone
	w.same([]issuer.ClientSecret{}, get(c.ID).Secrets)
	w.wants(issuer.ErrNotFound, w.registry.SetClientSecrets(w.ctx, "unknown", nil, nil, later))

	for _, err := range []error{
		w.registry.SetClient(w.ctx, issuer.Client{ID: "unknown"}, w.now),
		w.registry.DisableClient(w.ctx, "unknown", w.now),
		w.registry.EnableClient(w.ctx, "unknown", w.now),
		w.registry.RemoveClient(w.ctx, "unknown", w.now),
	} {
		w.wants(issuer.ErrNotFound, err)
	}

	// A client goes with its consents; its authorizations are revoked.
	x := w.request()
	w.must(w.issuer.Answer(w.ctx, x.auth, &issuer.Consent{AccountID: x.account.ID, ClientID: x.client.ID, Scopes: []string{"openid"}, GrantedAt: w.now, UpdatedAt: w.now}))
	w.must(w.registry.RemoveClient(w.ctx, x.client.ID, w.now))
	_, err = w.registry.Client(w.ctx, x.client.ID)
	w.wants(issuer.ErrNotFound, err)
	_, err = w.issuer.Consent(w.ctx, x.account.ID, x.client.ID)
	w.wants(issuer.ErrNotFound, err)
	if st := w.standing(x); st.RevokedAt != w.now || !st.ClientGone {
		t.Errorf("what its client was allowed stands as %+v", st)
	}
}

func consentsAdd(t *testing.T, w *world) {
	x := w.request()
	consent := issuer.Consent{AccountID: x.account.ID, ClientID: x.client.ID, Scopes: []string{"openid", "read:mail"}, GrantedAt: w.now, UpdatedAt: w.now}
	_, err := w.issuer.Consent(w.ctx, x.account.ID, x.client.ID)
	w.wants(issuer.ErrNotFound, err)
	w.must(w.issuer.Answer(w.ctx, x.auth, &consent))
	get := func() issuer.Consent {
		got, err := w.issuer.Consent(w.ctx, x.account.ID, x.client.ID)
		w.must(err)
		return got
	}
	w.same(consent, get())

	// What is allowed later is added; what sounds alike is not the same.
	later := w.now.Add(time.Hour)
	again := x
	again.auth.ID, again.auth.CodeDigest = secret.NewID(""), secret.Bytes(32)
	w.must(w.issuer.Answer(w.ctx, again.auth, &issuer.Consent{AccountID: x.account.ID, ClientID: x.client.ID,
		Scopes: []string{"read:mail", "mail", "read", "OpenID", "%"}, GrantedAt: later, UpdatedAt: later}))
	w.same(issuer.Consent{AccountID: x.account.ID, ClientID: x.client.ID,
		Scopes: []string{"openid", "read:mail", "mail", "read", "OpenID", "%"}, GrantedAt: w.now, UpdatedAt: later}, get())

	// Answers that race each add theirs.
	scopes := []string{"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"}
	for _, err := range w.race(func(db *storage.DB, i int) error {
		a := x.auth
		a.ID, a.CodeDigest = secret.NewID(""), secret.Bytes(32)
		return db.Issuer().Answer(w.ctx, a, &issuer.Consent{AccountID: x.account.ID, ClientID: x.client.ID,
			Scopes: []string{scopes[i%8], scopes[(i+3)%8]}, GrantedAt: later, UpdatedAt: later})
	}) {
		w.must(err)
	}
	if n := len(get().Scopes); n != 6+8 {
		t.Errorf("%d scopes after the race, want 14: %v", n, get().Scopes)
	}

	// A consent to nothing in particular is a consent.
	bare := w.request()
	w.must(w.issuer.Answer(w.ctx, bare.auth, &issuer.Consent{AccountID: bare.account.ID, ClientID: bare.client.ID, GrantedAt: w.now, UpdatedAt: w.now}))
	got, err := w.issuer.Consent(w.ctx, bare.account.ID, bare.client.ID)
	w.must(err)
	w.same(issuer.Consent{AccountID: bare.account.ID, ClientID: bare.client.ID, GrantedAt: w.now, UpdatedAt: w.now}, got)

	// Lists are by account and client.
	third := w.request()
	third.auth.AccountID, third.auth.SessionID = x.account.ID, x.session.ID
	w.must(w.issuer.Answer(w.ctx, third.auth, &issuer.Consent{AccountID: x.account.ID, ClientID: third.client.ID, GrantedAt: w.now, UpdatedAt: w.now}))
	list := func(p issuer.Page, accountID, clientID string) (pairs []string) {
		found, err := w.registry.Consents(w.ctx, p, accountID, clientID)
		w.must(err)
		for _, c := range found {
			pairs = append(pairs, c.AccountID+" "+c.ClientID)
		}
		return pairs
	}
	one, two, three := x.account.ID+" "+x.client.ID, x.account.ID+" "+third.client.ID, bare.account.ID+" "+bare.client.ID
	w.same([]string{one, two, three}, list(issuer.Page{Limit: 10}, "", ""))
	w.same([]string{one}, list(issuer.Page{Limit: 1}, "", ""))
	w.same([]string{two, three}, list(issuer.Page{After: one, Limit: 10}, "", ""))
	w.same([]string{one, two}, list(issuer.Page{Limit: 10}, x.account.ID, ""))
	w.same([]string{two}, list(issuer.Page{After: one, Limit: 10}, x.account.ID, ""))
	w.same([]string{three}, list(issuer.Page{Limit: 10}, "", bare.client.ID))
	w.same([]string{}, list(issuer.Page{After: three, Limit: 10}, "", bare.client.ID))
	w.same([]string{two}, list(issuer.Page{Limit: 10}, x.account.ID, third.client.ID))

	// Revoking a consent revokes what was allowed by it, and nothing else.
	w.must(w.registry.RevokeConsent(w.ctx, x.account.ID, x.client.ID, w.now))
	_, err = w.issuer.Consent(w.ctx, x.account.ID, x.client.ID)
	w.wants(issuer.ErrNotFound, err)
	if w.standing(x).RevokedAt != w.now || w.standing(again).RevokedAt != w.now {
		t.Error("an authorization outlived its consent")
	}
	if !w.standing(third).RevokedAt.IsZero() {
		t.Error("another client's authorization was revoked")
	}
	w.wants(issuer.ErrNotFound, w.registry.RevokeConsent(w.ctx, x.account.ID, x.client.ID, w.now))
	unremembered := w.answered()
	w.must(w.registry.RevokeConsent(w.ctx, unremembered.account.ID, unremembered.client.ID, w.now))
	if w.standing(unremembered).RevokedAt != w.now {
		t.Error("an authorization without a remembered consent was not revoked")
	}
}

func whatRestsOnAConsentGoesWithIt(t *testing.T, w *world) {
	x := w.request()
	fresh := func(x allowed) issuer.Authorization {
		x.auth.ID, x.auth.CodeDigest = secret.NewID(""), secret.Bytes(32)
		return x.auth
	}
	given := issuer.Consent{AccountID: x.account.ID, ClientID: x.client.ID, Scopes: []string{"openid", "email"}, GrantedAt: w.now, UpdatedAt: w.now}
	w.wants(issuer.ErrNotFound, w.issuer.AnswerAgain(w.ctx, fresh(x), given))
	w.must(w.issuer.Answer(w.ctx, fresh(x), &given))
	w.must(w.issuer.AnswerAgain(w.ctx, x.auth, given))
	w.wants(issuer.ErrAnswered, w.issuer.AnswerAgain(w.ctx, x.auth, given))

	// What is added to a consent leaves it the same.
	more := given
	more.Scopes, more.GrantedAt, more.UpdatedAt = []string{"phone"}, w.now.Add(time.Hour), w.now.Add(time.Hour)
	w.must(w.issuer.Answer(w.ctx, fresh(x), &more))
	again := fresh(x)
	w.must(w.issuer.AnswerAgain(w.ctx, again, given))
	st, err := w.issuer.Standing(w.ctx, again.ID, "", w.now)
	w.must(err)
	w.same(again, st.Authorization)

	// One that was revoked is gone, also if another follows, and whatever it said.
	w.must(w.registry.RevokeConsent(w.ctx, x.account.ID, x.client.ID, w.now))
	w.must(w.issuer.Answer(w.ctx, fresh(x), &more))
	late := fresh(x)
	w.wants(issuer.ErrNotFound, w.issuer.AnswerAgain(w.ctx, late, given))
	w.wants(issuer.ErrNotFound, w.issuer.AnswerAgain(w.ctx, late, issuer.Consent{}))
	if _, err := w.issuer.Standing(w.ctx, late.ID, "", w.now); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("an answer that was refused is there: %v", err)
	}

	// A good consent does not help against the rest.
	for _, reason := range w.against() {
		if reason.name == "it is revoked" || reason.name == "its consent is revoked" {
			continue
		}
		y := w.request()
		consent := issuer.Consent{AccountID: y.account.ID, ClientID: y.client.ID, GrantedAt: w.now, UpdatedAt: w.now}
		w.must(w.issuer.Answer(w.ctx, fresh(y), &consent))
		w.must(reason.happen(y))
		if err := w.issuer.AnswerAgain(w.ctx, fresh(y), consent); !errors.Is(err, issuer.ErrSpent) && !errors.Is(err, issuer.ErrNotFound) {
			t.Errorf("%v: got %v", reason, err)
		}
	}

	// Whatever is answered while the consent is revoked is either refused or revoked with it.
	for range 4 {
		z := w.request()
		consent := issuer.Consent{AccountID: z.account.ID, ClientID: z.client.ID, GrantedAt: w.now, UpdatedAt: w.now}
		w.must(w.issuer.Answer(w.ctx, z.auth, &consent))
		answers := make([]issuer.Authorization, racers)
		for i, err := range w.race(func(db *storage.DB, i int) error {
			if i == racers/2 {
				return db.Registry().RevokeConsent(w.ctx, z.account.ID, z.client.ID, w.now)
			}
			answers[i] = fresh(z)
			return db.Issuer().AnswerAgain(w.ctx, answers[i], consent)
		}) {
			switch {
			case i == racers/2:
				w.must(err)
			case err == nil:
				st, err := w.issuer.Standing(w.ctx, answers[i].ID, "", w.now)
				w.must(err)
				if st.RevokedAt.IsZero() {
					t.Error("an authorization outlived the consent that it rests on")
				}
			default:
				w.wants(issuer.ErrNotFound, err)
			}
		}
	}
}
