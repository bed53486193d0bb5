package issuer

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	now := time.Now()
	begun := now.Add(-time.Minute)
	seconds := func(n int64) *int64 { return &n }
	old := Login{AccountID: "usr_anna", SessionID: "ses_1", AuthTime: now.Add(-time.Hour), ACR: ACRPassword}
	fresh := old
	fresh.AuthTime = begun.Add(time.Second)
	// Signed in at a provider an hour ago, a second ago there too, and one that does not say.
	sso := fresh
	sso.IdP, sso.ACR, sso.ArrivedAt, sso.AuthTime = "corp", ACRFederated, fresh.AuthTime, now.Add(-time.Hour)
	real := sso
	real.AuthTime = begun.Add(-30 * time.Second) // its clock is behind
	mute := sso
	mute.AuthTime, mute.Unproven = sso.ArrivedAt, true
	before := mute
	before.ArrivedAt, before.AuthTime = now.Add(-time.Hour), now.Add(-time.Hour)
	agreed := []string{"openid", "profile"}

	for _, tt := range []struct {
		name       string
		client     Client
		req        request
		login      *Login
		remembered []string
		want       string
	}{
		{"nobody there", Client{}, request{}, nil, nil, "sign in"},
		{"never asked before", Client{}, request{Scopes: []string{"openid"}}, &old, nil, "consent"},
		{"never asked before, no scopes", Client{}, request{}, &old, nil, "consent"},
		{"remembered", Client{}, request{Scopes: []string{"openid"}}, &old, agreed, "answer"},
		{"a scope more", Client{}, request{Scopes: []string{"openid", "email"}}, &old, agreed, "consent"},
		{"consent always", Client{Consent: "always"}, request{Scopes: []string{"openid"}}, &old, agreed, "consent"},
		{"consent never", Client{Consent: "never"}, request{Scopes: []string{"openid", "email"}}, &old, nil, "answer"},
		{"Core 3.1.2.1, prompt=consent, remembered", Client{}, request{Prompt: []string{"consent"}, Scopes: []string{"openid"}}, &old, agreed, "consent"},
		{"Core 3.1.2.1, prompt=consent, never", Client{Consent: "never"}, request{Prompt: []string{"consent"}}, &old, nil, "consent"},
		{"Core 11, offline_access is asked for", Client{}, request{Scopes: []string{"openid", "offline_access"}}, &old, agreed, "consent"},
		{"Core 11, offline_access, remembered", Client{}, request{Scopes: []string{"openid", "offline_access"}}, &old, []string{"offline_access", "openid"}, "answer"},
		{"Core 11, other conditions", Client{Consent: "never"}, request{Scopes: []string{"openid", "offline_access"}}, &old, nil, "answer"},

		{"Core 3.1.2.1, prompt=login", Client{}, request{Prompt: []string{"login"}}, &old, agreed, "sign in"},
		{"Core 3.1.2.1, prompt=login, done", Client{}, request{Prompt: []string{"login"}}, &fresh, agreed, "answer"},
		{"Core 3.1.2.1, prompt=select_account", Client{}, request{Prompt: []string{"select_account"}}, &old, agreed, "sign in"},
		{"Core 3.1.2.1, prompt=select_account, chosen", Client{}, request{Prompt: []string{"select_account"}, Chosen: "ses_1"}, &old, agreed, "answer"},
		{"Core 3.1.2.1, prompt=select_account, chosen in another session", Client{}, request{Prompt: []string{"select_account"}, Chosen: "ses_2"}, &old, agreed, "sign in"},
		{"Core 3.1.2.1, choosing is not signing in", Client{}, request{Prompt: []string{"login", "select_account"}, Chosen: "ses_1"}, &old, agreed, "sign in"},
		{"Core 3.1.2.1, max_age exceeded", Client{}, request{MaxAge: seconds(3599)}, &old, agreed, "sign in"},
		{"Core 3.1.2.1, max_age reached", Client{}, request{MaxAge: seconds(3600)}, &old, agreed, "answer"},
		{"Core 3.1.2.1, max_age=0", Client{}, request{MaxAge: seconds(0)}, &old, agreed, "sign in"},
		{"Core 3.1.2.1, max_age=0, done", Client{}, request{MaxAge: seconds(0)}, &fresh, agreed, "answer"},
		{"Core 3.1.2.1, an enormous max_age", Client{}, request{MaxAge: seconds(1<<63 - 1)}, &old, agreed, "answer"},

		{"Core 3.1.2.1, the hint is of this person", Client{}, request{Subject: "usr_anna"}, &old, agreed, "answer"},
		{"Core 3.1.2.1, the hint is of another", Client{}, request{Subject: "usr_bert"}, &old, agreed, "sign in"},
		{"Core 3.1.2.2, another signed in all the same", Client{}, request{Subject: "usr_bert"}, &fresh, agreed, "login_required"},
		{"Core 5.5.1.1, an essential acr", Client{}, request{ACR: []string{ACRPassword}}, &old, agreed, "answer"},
		{"Core 5.5.1.1, an essential acr that this sign-in isn't", Client{}, request{ACR: []string{"better"}}, &old, agreed, "sign in"},
		{"Core 5.5.1.1, an essential acr that can't be reached", Client{}, request{ACR: []string{"better"}}, &fresh, agreed, "unmet_authentication_requirements"},

		{"federated, nothing special is asked", Client{}, request{}, &mute, agreed, "answer"},
		{"Core 3.1.2.1, prompt=login, a provider lets the person pass", Client{}, request{Prompt: []string{"login"}}, &sso, agreed, "login_required"},
		{"Core 3.1.2.1, prompt=login, a provider asks again", Client{}, request{Prompt: []string{"login"}}, &real, agreed, "answer"},
		{"Core 3.1.2.1, prompt=login, a provider that does not say", Client{}, request{Prompt: []string{"login"}}, &mute, agreed, "login_required"},
		{"Core 3.1.2.1, prompt=login, from a provider an hour ago", Client{}, request{Prompt: []string{"login"}}, &before, agreed, "sign in"},
		{"Core 3.1.2.1, max_age, a provider asks again", Client{}, request{MaxAge: seconds(0)}, &real, agreed, "answer"},
		{"Core 3.1.2.1, max_age, signed in at the provider long ago", Client{}, request{MaxAge: seconds(3599)}, &sso, agreed, "login_required"},
		{"Core 3.1.2.1, max_age, signed in at the provider recently", Client{}, request{MaxAge: seconds(3601)}, &sso, agreed, "answer"},
		{"Core 3.1.2.1, max_age, a provider that does not say", Client{}, request{MaxAge: seconds(86400)}, &mute, agreed, "login_required"},
		{"Core 3.1.2.1, max_age, from a provider that does not say, an hour ago", Client{}, request{MaxAge: seconds(86400)}, &before, agreed, "sign in"},
		{"Core 3.1.2.1, prompt=select_account, chosen at the provider", Client{}, request{Prompt: []string{"select_account"}}, &mute, agreed, "answer"},
		{"Core 5.5.1.1, a password and nothing else", Client{}, request{ACR: []string{ACRPassword}}, &mute, agreed, "unmet_authentication_requirements"},
		{"Core 5.5.1.1, a provider", Client{}, request{ACR: []string{ACRFederated}}, &mute, agreed, "answer"},

		{"Core 3.1.2.6, silently: nobody there", Client{}, request{Prompt: []string{"none"}}, nil, nil, "login_required"},
		{"Core 3.1.2.6, silently: max_age exceeded", Client{}, request{Prompt: []string{"none"}, MaxAge: seconds(1)}, &old, agreed, "login_required"},
		{"Core 3.1.2.6, silently: another person", Client{}, request{Prompt: []string{"none"}, Subject: "usr_bert"}, &old, agreed, "login_required"},
		{"Core 3.1.2.6, silently: not agreed", Client{}, request{Prompt: []string{"none"}, Scopes: []string{"email"}}, &old, agreed, "consent_required"},
		{"Core 3.1.2.6, silently: consent always", Client{Consent: "always"}, request{Prompt: []string{"none"}}, &old, agreed, "consent_required"},
		{"Core 3.1.2.6, silently", Client{}, request{Prompt: []string{"none"}, Scopes: []string{"openid"}}, &old, agreed, "answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.req.Begun = begun.UnixMicro()
			login, ok := Login{}, tt.login != nil
			if ok {
				login = *tt.login
			}
			step, refusal := next(&tt.client, &tt.req, login, ok, tt.remembered, now)
			got := [...]string{stepAnswer: "answer", stepSignIn: "sign in", stepConsent: "consent"}[step]
			if refusal != nil {
				got = refusal.Code
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
