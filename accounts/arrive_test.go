package accounts_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/upstream"
)

// provider adds a provider that is believed about corp.example.
func (h *house) provider(change func(*upstream.Provider)) upstream.Provider {
	h.Helper()
	id := secret.NewID("prv")
	p := upstream.Provider{ID: id, Name: "p" + fmt.Sprint(len(h.providers())), Kind: "oidc", ClientID: "us",
		Authoritative: []string{"corp.example"}, CreatedAt: noon, UpdatedAt: noon}
	if change != nil {
		change(&p)
	}
	if err := h.db.Upstream().AddProvider(h.Context(), p, apikeys.By{}.Event("provider.add", p.ID, "")); err != nil {
		h.Fatal(err)
	}
	return p
}

func (h *house) providers() []upstream.Provider {
	h.Helper()
	all, err := h.db.Upstream().Providers(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return all
}

// from is somebody as a provider says who they are.
func from(p upstream.Provider, subject, email string) upstream.Identity {
	return upstream.Identity{ProviderID: p.ID, Subject: subject, Email: email, EmailVerified: true}
}

func (h *house) arrives(p upstream.Provider, i upstream.Identity) accounts.Account {
	h.Helper()
	a, _, err := h.directory.Arrive(h.Context(), p, i, noon)
	if err != nil {
		h.Fatalf("%s of %s: %v", i.Subject, p.Name, err)
	}
	return a
}

func (h *house) refused(want error, p upstream.Provider, i upstream.Identity) {
	h.Helper()
	a, _, err := h.directory.Arrive(h.Context(), p, i, noon)
	if !errors.Is(err, want) || a.ID != "" {
		h.Errorf("%s of %s: account %q and %v, not %v", i.Subject, p.Name, a.ID, err, want)
	}
	if _, _, err := h.db.Accounts().Linked(h.Context(), i.ProviderID, i.Subject, i.Email, noon); !errors.Is(err, accounts.ErrNotFound) && want != accounts.ErrDisabled {
		h.Errorf("who was refused is linked: %v", err)
	}
}

// An identity is a provider and its name for somebody, never an address.
func TestAnIdentityIsNotAnAddress(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		p, q := h.provider(nil), h.provider(nil)
		ada := h.arrives(p, from(p, "1", "ada@corp.example"))
		if !ada.EmailVerified || ada.Email != "ada@corp.example" || ada.PasswordHash != "" {
			t.Errorf("the newcomer is %+v", ada)
		}
		if again := h.arrives(p, from(p, "1", "married@corp.example")); again.ID != ada.ID {
			t.Error("another address made somebody else of them")
		}
		// A subject that another provider uses too is somebody else; an address that somebody new at
		// the same provider has now does not make them the one who had it before.
		if other := h.arrives(q, from(q, "1", "someone@corp.example")); other.ID == ada.ID {
			t.Error("the same subject at another provider is the same person")
		}
		h.refused(accounts.ErrTaken, p, from(p, "2", "ada@corp.example"))
		h.refused(accounts.ErrTaken, q, from(q, "2", "ADA@corp.example"))

		// Disabled is disabled, and says so only to whose account it is.
		if err := h.directory.Disable(t.Context(), ada.ID, noon); err != nil {
			t.Fatal(err)
		}
		h.refused(accounts.ErrDisabled, p, from(p, "1", "ada@corp.example"))
		h.refused(accounts.ErrTaken, q, from(q, "3", "ada@corp.example"))
	})
}

// email_verified opens things in applications. It is said of an address only if who says it is to
// be believed: about the domain, or as a public service that writes to an address first.
func TestANewcomersAddressIsVerifiedByWhoIsBelieved(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		for n, tt := range []struct {
			change func(*upstream.Provider)
			want   bool
		}{
			{nil, true}, // believed about corp.example
			{func(p *upstream.Provider) { p.Authoritative = nil }, false},
			{func(p *upstream.Provider) { p.Authoritative = []string{"*"} }, true},
			{func(p *upstream.Provider) { p.Kind, p.Authoritative = "github", nil }, true},
			{func(p *upstream.Provider) {
				p.Kind, p.Authoritative, p.Options = "github", nil, map[string]string{"host": "github.other.example"}
			}, false},
			{func(p *upstream.Provider) {
				p.Kind, p.Authoritative, p.UserInfoURL = "discord", nil, "https://discord.other.example/me"
			}, false},
		} {
			p := h.provider(tt.change)
			email := fmt.Sprintf("ada%d@corp.example", n)
			if a := h.arrives(p, from(p, "1", email)); a.Email != email || a.EmailVerified != tt.want {
				t.Errorf("%d: she is %+v", n, a)
			}
		}
	})
}

// What is not proved is not looked at: neither makes it an account's address, nor does it tell
// whether there is one.
func TestAnAddressThatIsNotProvedIsNone(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		p := h.provider(func(p *upstream.Provider) { p.LinkBy = upstream.LinkVerifiedEmail })
		ada := h.add(accounts.New{Email: "ada@corp.example", Verified: true, Password: otter})
		for n, email := range []string{"ada@corp.example", "ada@corp.example@evil.example", "ada＠corp.example", "аda@corp.example", "", "ada"} {
			i := from(p, fmt.Sprint(n), email)
			i.EmailVerified = email == ""
			if a := h.arrives(p, i); a.ID == ada.ID || a.Email != "" {
				t.Errorf("%q made %+v", email, a)
			}
		}
		// Two without an address are two.
		if h.arrives(p, from(p, "x", "")).ID == h.arrives(p, from(p, "y", "")).ID {
			t.Error("nobody's address is not one")
		}
	})
}

// Linking by address needs it verified on both sides, a provider that is to be believed about it,
// and the password of the account.
func TestWhoeverLinksByAddressProvesIt(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		believed := h.provider(func(p *upstream.Provider) { p.LinkBy = upstream.LinkVerifiedEmail })
		never := h.provider(nil)
		stranger := h.provider(func(p *upstream.Provider) {
			p.LinkBy, p.Authoritative = upstream.LinkVerifiedEmail, []string{"other.example"}
		})
		hosted := h.provider(func(p *upstream.Provider) { p.LinkBy, p.Authoritative = upstream.LinkVerifiedEmail, nil })
		ada := h.add(accounts.New{Email: "ada@corp.example", Verified: true, Password: otter})
		h.add(accounts.New{Email: "bob@corp.example", Password: badger}) // anybody may have made it, in advance

		h.refused(accounts.ErrTaken, never, from(never, "1", "ada@corp.example"))
		h.refused(accounts.ErrTaken, stranger, from(stranger, "1", "ada@corp.example"))
		h.refused(accounts.ErrTaken, hosted, from(hosted, "1", "ada@corp.example"))
		h.refused(accounts.ErrTaken, believed, from(believed, "2", "bob@corp.example"))

		_, _, err := h.directory.Arrive(t.Context(), believed, from(believed, "1", "Ada@corp.example"), noon)
		if must, ok := errors.AsType[*accounts.MustProve](err); !ok || must.AccountID != ada.ID {
			t.Errorf("ada has to prove it, and not: %v", err)
		}
		i := from(hosted, "9", "ada@corp.example")
		i.EmailHosted = true
		if _, _, err := h.directory.Arrive(t.Context(), hosted, i, noon); !errors.As(err, new(*accounts.MustProve)) {
			t.Errorf("who runs the mail is believed: %v", err)
		}
		if err := h.directory.Link(t.Context(), ada.ID, believed, from(believed, "1", "ada@corp.example"), noon); err != nil {
			t.Fatal(err)
		}
		if a := h.arrives(believed, from(believed, "1", "ada@corp.example")); a.ID != ada.ID {
			t.Error("who has proved it is not linked")
		}
		// Linked to her already; and to nobody else besides.
		if err := h.directory.Link(t.Context(), ada.ID, believed, from(believed, "1", ""), noon); err != nil {
			t.Errorf("linking it again: %v", err)
		}
		carl := h.add(accounts.New{Email: "carl@corp.example", Password: badger})
		if err := h.directory.Link(t.Context(), carl.ID, believed, from(believed, "1", ""), noon); !errors.Is(err, accounts.ErrLinked) {
			t.Errorf("hers became his too: %v", err)
		}
	})
}

// An account that was made for somebody, and that nobody can have signed in to, waits for them.
func TestTheInvitedTakeWhatWaitsForThem(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		p := h.provider(func(p *upstream.Provider) { p.SignUp = upstream.SignUpInvite })
		stranger := h.provider(func(p *upstream.Provider) { p.SignUp, p.Authoritative = upstream.SignUpInvite, nil })
		eve := h.add(accounts.New{Email: "eve@corp.example", Role: "admin", Claims: json.RawMessage(`{"website":"https://own.example"}`)})
		h.refused(accounts.ErrTaken, stranger, from(stranger, "1", "eve@corp.example"))
		h.refused(accounts.ErrNotInvited, p, from(p, "2", "mallory@corp.example"))
		unproved := from(p, "3", "eve@corp.example")
		unproved.EmailVerified = false
		h.refused(accounts.ErrNotInvited, p, unproved)

		// What nobody had said of her, the provider does; what is there stays.
		i := from(p, "1", "eve@corp.example")
		i.Name, i.Claims = "Eve", json.RawMessage(`{"website":"https://theirs.example","nickname":"evie","birthdate":"soon"}`)
		a := h.arrives(p, i)
		if a.ID != eve.ID || a.Role != "admin" || !a.EmailVerified || a.Name != "Eve" || string(a.Claims) != `{"nickname":"evie","website":"https://own.example"}` {
			t.Errorf("she is %+v %s", a, a.Claims)
		}
		i.Name, i.Claims = "Mallory", json.RawMessage(`{"locale":"de"}`)
		if again := h.arrives(p, i); again.Name != "Eve" || string(again.Claims) != string(a.Claims) {
			t.Errorf("the next time she is %+v %s", again, again.Claims)
		}
		h.refused(accounts.ErrTaken, p, from(p, "4", "eve@corp.example")) // it does not wait any more

		// 64 who want it at once, with different names: one gets it.
		frank := h.add(accounts.New{Email: "frank@corp.example"})
		var wg sync.WaitGroup
		got := make(chan string, 64)
		copies := []*house{h, open(), open()}
		for n := range 64 {
			wg.Go(func() {
				a, _, err := copies[n%3].directory.Arrive(t.Context(), p, from(p, fmt.Sprint("frank", n), "frank@corp.example"), noon)
				if err == nil && a.ID == frank.ID {
					got <- a.ID
				}
			})
		}
		wg.Wait()
		if len(got) != 1 {
			t.Errorf("%d got it", len(got))
		}
	})
}

// Who may make an account by arriving.
func TestSignUpIsLimited(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		p := h.provider(func(p *upstream.Provider) {
			p.SignUp, p.Domains = upstream.SignUpDomains, []string{"corp.example", "Bücher.example"}
		})
		h.arrives(p, from(p, "1", "ada@corp.example"))
		h.arrives(p, from(p, "2", "ada@xn--bcher-kva.example"))
		h.refused(accounts.ErrWrongDomain, p, from(p, "3", "ada@evil.example"))
		h.refused(accounts.ErrWrongDomain, p, from(p, "4", "ada@sub.corp.example"))
		h.refused(accounts.ErrTwoReadings, p, from(p, "5", "ada@corp.example@evil.example"))
		unproved := from(p, "6", "bob@corp.example")
		unproved.EmailVerified = false
		h.refused(accounts.ErrWrongDomain, p, unproved)

		// 64 callbacks of one newcomer, on three copies, make one account.
		copies := []*house{h, open(), open()}
		ids := make([]string, 64)
		var wg sync.WaitGroup
		for n := range ids {
			wg.Go(func() {
				a, _, err := copies[n%3].directory.Arrive(t.Context(), p, from(p, "new", "new@corp.example"), noon)
				if err != nil {
					t.Error(err)
				}
				ids[n] = a.ID
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("one newcomer is %s and %s", ids[0], id)
			}
		}

		if err := h.db.Upstream().RemoveProvider(t.Context(), p.ID, apikeys.By{}.Event("provider.remove", p.ID, "")); err != nil {
			t.Fatal(err)
		}
		h.refused(accounts.ErrProviderOff, p, from(p, "late", "late@corp.example"))
		// Whom it has brought before, too, and is still linked to it.
		if _, _, err := h.directory.Arrive(t.Context(), p, from(p, "new", "new@corp.example"), noon); !errors.Is(err, accounts.ErrProviderOff) {
			t.Errorf("somebody known: %v", err)
		}
	})
}

// Administration only by an explicit rule, which gives and takes; what somebody gave by hand stays.
func TestRolesComeByRuleOnly(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		h.add(accounts.New{Email: "root@corp.example", Password: otter, Role: "admin"})
		plain := h.provider(nil)
		ruled := h.provider(func(p *upstream.Provider) {
			p.Roles = []upstream.RoleRule{{Claim: "groups", Value: "ops", Role: "admin"}}
		})
		as := func(p upstream.Provider, subject string, roles ...string) accounts.Account {
			i := from(p, subject, "")
			i.Roles, i.Groups = roles, []string{"admin", "ops"}
			return h.arrives(p, i)
		}
		if as(plain, "1", "admin").Role != "" || as(ruled, "1").Role != "" {
			t.Error("a role without a rule")
		}
		if as(ruled, "2", "admin").Role != "admin" || as(ruled, "1", "admin").Role != "admin" {
			t.Error("no role, against the rule")
		}
		if as(ruled, "2").Role != "" {
			t.Error("the rule does not hold any more, and the role stays")
		}
		byHand := as(ruled, "3")
		role := "admin"
		if _, err := h.directory.Set(t.Context(), byHand.ID, accounts.Change{Role: &role}); err != nil {
			t.Fatal(err)
		}
		if as(ruled, "3", "admin").Role != "admin" || as(ruled, "3").Role != "admin" {
			t.Error("what was given by hand was taken by the rule")
		}
	})
}

// Of the windows of one person that arrive at the same moment each gets in, and the first gives the role.
func TestARoleComesToEveryWindowAtOnce(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		copies := []*house{h, open()}
		p := h.provider(func(p *upstream.Provider) {
			p.Roles = []upstream.RoleRule{{Claim: "groups", Value: "ops", Role: "admin"}}
		})
		for n := range 5 {
			i := from(p, fmt.Sprint("ops", n), "")
			h.arrives(p, i)
			i.Roles = []string{"admin"}
			var wg sync.WaitGroup
			begin := make(chan struct{})
			for w := range 4 {
				wg.Go(func() {
					<-begin
					a, _, err := copies[w%2].directory.Arrive(t.Context(), p, i, noon)
					if err != nil || a.Role != "admin" {
						t.Errorf("%s has the role %q, %v", i.Subject, a.Role, err)
					}
				})
			}
			close(begin)
			wg.Wait()
		}
	})
}

// An address that has no canonical form can't be told from another: nobody arrives with it,
// and no account is made that would have it.
func TestAnAddressThatPassesForAnotherIsRefused(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		p := h.provider(func(p *upstream.Provider) { p.Authoritative = []string{"*"} })
		h.add(accounts.New{Email: "ada@corp.example", Password: otter, Verified: true})
		for n, email := range []string{"\u0430da@corp.example", "ada@c\u043erp.example", "a\u034fda@corp.example", "ada@co\ufe0frp.example",
			"ada@corp.example@evil.example", "ada＠corp.example", "ada@192.0.2.1"} {
			h.refused(accounts.ErrTwoReadings, p, from(p, fmt.Sprint("new", n), email))
		}
		// Not verified, it is not looked at: the account that is made has no address.
		i := from(p, "unverified", "\u0430da@corp.example")
		i.EmailVerified = false
		if a := h.arrives(p, i); a.Email != "" {
			t.Errorf("the address is %q", a.Email)
		}
	})
}

// What a provider says of a person is taken as far as it is in the standard's form.
func TestClaimsOfANewcomer(t *testing.T) {
	story(t, func(t *testing.T, h *house, open func() *house) {
		p := h.provider(nil)
		i := from(p, "1", "ada@corp.example")
		i.Name = "Ada Lovelace"
		i.Claims = json.RawMessage(`{"given_name":"Ada","birthdate":"soon","email":"x@y.example","email_verified":true,"sub":"usr_1","role":"admin","phone_number":"+1","phone_number_verified":true,"locale":null}`)
		a := h.arrives(p, i)
		if string(a.Claims) != `{}` && string(a.Claims) != `{"given_name":"Ada","phone_number":"+1"}` || a.Email != "ada@corp.example" || a.Name != "Ada Lovelace" || a.Role != "" {
			t.Errorf("she is %+v with %s", a, a.Claims)
		}
		if _, err := h.directory.SignIn(t.Context(), "ada@corp.example", otter, "192.0.2.1", noon); !errors.Is(err, accounts.ErrWrong) {
			t.Errorf("a password for who has none: %v", err)
		}
		if err := h.directory.Unlink(t.Context(), a.ID, p.ID, "1", noon.Add(time.Hour)); !errors.Is(err, accounts.ErrLastWay) {
			t.Errorf("the last way in went: %v", err)
		}
		links, err := h.directory.Identities(t.Context(), a.ID)
		if err != nil || len(links) != 1 || links[0].Subject != "1" || links[0].Email != "ada@corp.example" {
			t.Errorf("her links are %+v, %v", links, err)
		}
	})
}
