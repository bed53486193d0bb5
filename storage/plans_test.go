package storage_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/issuer"
	"mintmark/revocations"
	"mintmark/storage"
	"mintmark/storage/storagetest"
	"mintmark/upstream"
)

// Everything that happens while somebody waits finds its rows by a key, and so costs the
// same however many rows there are.
func TestHotStatementsFindRowsByKey(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, open func() *storage.DB) {
		db := open()
		type seen struct {
			sql  string
			args []any
		}
		var all []seen
		db.Spy(func(sql string, args []any) { all = append(all, seen{sql, args}) })
		ctx, now := t.Context(), time.UnixMicro(1_000_000)
		i, p := db.Issuer(), db.Accounts()
		consent := issuer.Consent{AccountID: "u", ClientID: "c", Scopes: []string{"openid"}}
		token := &issuer.AccessToken{ID: "t"}
		// Nothing of this is there; the plans are the same.
		_, _ = i.Client(ctx, "c")
		_, _ = i.Consent(ctx, "u", "c")
		_ = i.Answer(ctx, issuer.Authorization{ID: "a"}, &consent)
		_ = i.AnswerAgain(ctx, issuer.Authorization{ID: "a"}, consent)
		_, _ = i.Standing(ctx, "a", "j", now)
		_ = i.RedeemCode(ctx, issuer.Redemption{ID: "a", Now: now, Access: token})
		_ = i.RotateRefresh(ctx, issuer.Rotation{ID: "a", Generation: 1, Now: now, Access: token})
		_, _, _ = i.AccessToken(ctx, "t", now)
		_, _ = i.ClientTokenStanding(ctx, "c", "j")
		_ = i.RevokeToken(ctx, "j", now)
		_ = i.RevokeAuthorization(ctx, "a", "r", now)
		_ = i.UseAssertion(ctx, "c", "j", now)
		_, _ = p.HasAdmin(ctx)
		_, _ = p.AccountByEmail(ctx, "e")
		_, _, _ = p.Session(ctx, "s")
		_ = p.StartSession(ctx, accounts.Session{ID: "s", AccountID: "u"}, accounts.Account{ID: "u"}, "old")
		_ = p.RenewSession(ctx, accounts.Session{ID: "s"})
		_ = p.StartSession(ctx, accounts.Session{ID: "s", AccountID: "u", ProviderID: "p", Subject: "s"}, accounts.Account{ID: "u"}, "")
		_ = p.RenewSession(ctx, accounts.Session{ID: "s", ProviderID: "p", Subject: "s"})
		_, _, _ = p.Linked(ctx, "p", "s", "e", now)
		_ = p.AddLink(ctx, accounts.Link{ProviderID: "p", Subject: "s", AccountID: "u"}, 20, false)
		_ = p.RemoveLink(ctx, "u", "p", "s", now)
		v := db.Vault()
		_ = v.Keep(ctx, upstream.Kept{ProviderID: "p", Subject: "s", AccountID: "u"}, now)
		_, _ = v.Kept(ctx, "p", "u")
		_ = v.Refreshed(ctx, upstream.Kept{ProviderID: "p", Subject: "s", AccountID: "u"}, "l", now)
		_, _, _ = v.NextRevocation(ctx, now, now)
		_ = v.ForgetRevocation(ctx, "r")
		_ = p.TouchSession(ctx, "s", now)
		_ = p.EndSession(ctx, "s", "logout", now)
		_ = p.EndSessions(ctx, "u", "revoked", now)
		_ = p.SetPassword(ctx, "u", "", "h", true, now)
		_ = p.DisableAccount(ctx, "u", now)
		_ = p.SetAccount(ctx, accounts.Account{ID: "u"}, now)
		_ = p.RemoveAccount(ctx, "u", now)
		_, _, _ = p.Count(ctx, "k", time.Minute, now)
		_ = db.Registry().RevokeConsent(ctx, "u", "c", now)
		_ = db.Registry().RemoveClient(ctx, "c", now)
		_, _ = p.Sessions(ctx, accounts.Page{Limit: 10}, "u", now)
		k, e := db.APIKeys(), apikeys.Event{ID: "e", Ref: "k"}
		_, _ = k.Key(ctx, "k")
		_, _ = k.KeyByDigest(ctx, []byte("d"))
		_, _, _ = k.Standing(ctx, "k")
		_, _ = k.OwnerStands(ctx, "account", "u")
		_, _ = k.OwnerStands(ctx, "service", "s")
		_, _ = k.Keys(ctx, apikeys.Page{Limit: 10}, "u")
		_, _ = k.Imported(ctx)
		_ = k.SetKey(ctx, apikeys.Key{ID: "k"}, e)
		_ = k.DisableKey(ctx, "k", "", e)
		_ = k.RevokeKey(ctx, "k", "", false, e)
		_ = k.RotateKey(ctx, apikeys.Key{ID: "n", Replaces: "k"}, now, e)
		_ = k.AddKey(ctx, apikeys.Key{ID: "k", OwnerType: "service", OwnerID: "s", Quota: apikeys.Quota{ID: "q"}}, 10, e)
		_, _ = k.LeaseQuota(ctx, "q", 1, 1, now)
		_ = k.ReturnQuota(ctx, []apikeys.Rest{{ID: "q", N: 1}})
		_ = k.UseKeys(ctx, []apikeys.Use{{ID: "k", Scopes: []string{"s"}}})
		_, _ = k.UsedScopes(ctx, "a", "b")
		_, _ = k.Service(ctx, "s")
		_, _ = k.Services(ctx, apikeys.Page{Limit: 10}, "name")
		_ = k.DisableService(ctx, "s", e)
		_ = k.RemoveService(ctx, "s", e)
		_, _ = k.Events(ctx, apikeys.Page{Limit: 10}, "k", false)
		_, _ = k.Events(ctx, apikeys.Page{Limit: 10}, "", true)
		place := revocations.Place{Low: 7, Seen: "7:9:7,8"}
		_, _, _, _ = db.Changes(ctx, place, now, false)
		_, _, _, _ = db.Revocations().News(ctx, place)
		_, _, _, _ = db.Revocations().Live(ctx, revocations.At{Seq: 7}, 100, now)
		_ = db.Serving(ctx, "c", now)
		_, _ = db.Ask(ctx, now)
		_ = db.Confirm(ctx, "q", "c", now)
		_, _ = db.Purge(ctx, now, 100)

		statements := slices.Clone(all)
		if len(statements) < 40 {
			t.Fatalf("only %d statements were seen", len(statements))
		}
		for _, s := range statements {
			if strings.Contains(s.sql, "setup_codes") || strings.HasPrefix(s.sql, "DELETE FROM copies") || strings.HasPrefix(s.sql, "DELETE FROM removed_providers") {
				continue // one row, or as many as there are servers, or providers that were removed a moment ago
			}
			plan, err := db.Explain(ctx, s.sql, s.args)
			if err != nil || len(plan) == 0 && !strings.HasPrefix(strings.TrimSpace(s.sql), "INSERT") {
				t.Errorf("%s\n%v %v", s.sql, plan, err)
			}
			for _, line := range plan {
				if line == "SCAN s" || line == "SCAN c" || line == "SCAN (subquery-2)" || line == "SCAN r LEFT-JOIN" {
					continue // the one row and the page of news.go, how many copies there are, and the keys of one owner, numbered
				}
				whole := strings.Contains(line, "Seq Scan") ||
					strings.Contains(line, "SCAN") && !strings.Contains(line, "CONSTANT ROW") && !strings.Contains(line, "accounts_admins") && !strings.Contains(line, "api_keys_imported")
				if whole {
					t.Errorf("a whole table is read:\n%s\n%s", s.sql, strings.Join(plan, "\n"))
				}
			}
		}
	})
}
