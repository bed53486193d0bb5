package upstream_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/apikeys"
	"mintmark/upstream"
)

// A registrar is a provider's place for revoking. It remembers what it was told.
type registrar struct {
	mu     sync.Mutex
	told   []string
	status int
	body   claims
}

func (s *safe) revokesAt(path string) *registrar {
	x := &registrar{status: 200}
	s.op.mu.Lock()
	defer s.op.mu.Unlock()
	s.op.routes[path] = func(w http.ResponseWriter, r *http.Request) {
		x.mu.Lock()
		defer x.mu.Unlock()
		id, secret, _ := r.BasicAuth()
		who := secret // GitHub's are not encoded
		if r.Method == http.MethodPost {
			who, _ = url.QueryUnescape(secret)
		}
		line := r.Method + " " + id + " " + who + " "
		if r.Method == http.MethodDelete {
			var body map[string]string
			_ = json.NewDecoder(r.Body).Decode(&body)
			line += body["access_token"]
		} else {
			line += r.PostFormValue("token_type_hint") + "=" + r.PostFormValue("token")
		}
		x.told = append(x.told, line)
		reply(w, x.status, x.body)
	}
	return x
}

func (x *registrar) answers(status int, body claims) (told []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.status, x.body, told, x.told = status, body, x.told, nil
	return told
}

func (s *safe) revokeDue(copy int, at time.Time) error {
	return s.copies[copy].RevokeDue(s.t.Context(), at)
}

func (s *safe) unlinks() {
	s.t.Helper()
	people := s.dbs[1].Accounts()
	if err := people.SetPassword(s.t.Context(), s.account.ID, "", "hash", false, time.Now()); err != nil {
		s.t.Fatal(err)
	}
	if err := people.RemoveLink(s.t.Context(), s.account.ID, s.providerID(), "ada-1", time.Now()); err != nil {
		s.t.Fatal(err)
	}
}

const asUs = "POST client very:secret% "

// RFC 7009 §2.1: a provider that fails keeps nobody from unlinking, and is told in the end.
func TestTokensAreRevokedWithTheLink(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		s.metadata = func(m claims) { m["revocation_endpoint"] = s.URL + "/revoke" }
		x := s.revokesAt("/revoke")
		k, err := s.dbs[0].Vault().Kept(t.Context(), s.providerID(), s.account.ID)
		if err != nil {
			t.Fatal(err)
		}
		held, err := s.copies[0].Held(k)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if err := s.revokeDue(0, now.Add(time.Hour)); err != nil || len(x.answers(503, nil)) != 0 {
			t.Fatalf("while it is linked: %v", err)
		}
		s.unlinks()
		if told := x.answers(503, nil); len(told) != 0 {
			t.Errorf("the provider was asked by who unlinked: %q", told)
		}

		if s.revokeDue(0, now.Add(time.Second)) == nil || len(x.answers(500, nil)) != 1 {
			t.Error("no answer, and it is no failure")
		}
		if s.revokeDue(1, now.Add(2*time.Second)) != nil || len(x.answers(500, nil)) != 0 {
			t.Error("it was asked again at once")
		}
		// Its errors count as little as silence; what it says of tokens that are over is a yes.
		if s.revokeDue(1, now.Add(time.Minute)) == nil {
			t.Error("an error of the provider is no failure")
		}
		x.answers(400, claims{"error": "invalid_token"})
		if err := s.revokeDue(2, now.Add(10*time.Minute)); err != nil {
			t.Errorf("revoked before: %v", err)
		}
		want := []string{asUs + "refresh_token=rt", asUs + "access_token=" + held.Access.Reveal()}
		if told := x.answers(200, nil); !slices.Equal(told, want) {
			t.Errorf("it was told %q, want %q", told, want)
		}
		if err := s.revokeDue(0, now.Add(25*time.Hour)); err != nil || len(x.answers(200, nil)) != 0 {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestRevokingIsGivenUpAfterADay(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		s.metadata = func(m claims) { m["revocation_endpoint"] = s.URL + "/revoke" }
		x := s.revokesAt("/revoke")
		x.answers(401, claims{"error": "invalid_client"})
		now := time.Now()
		s.unlinks()
		tries := 0
		for at := now.Add(time.Second); at.Before(now.Add(30 * time.Hour)); at = at.Add(30 * time.Minute) {
			_ = s.revokeDue(0, at)
			tries += len(x.answers(401, claims{"error": "invalid_client"}))
		}
		if tries < 10 || tries > 20 {
			t.Errorf("it was tried %d times", tries)
		}
		if left, err := s.dbs[0].SealedRevocations(t.Context(), ""); err != nil || len(left) != 0 {
			t.Errorf("there is %d left, %v", len(left), err)
		}
		// What fails here is not held against the provider: the tokens of others are had.
		if err := s.copies[0].Look(t.Context(), upstream.Provider{Kind: "oidc", Issuer: s.URL}, now); err != nil {
			t.Error(err)
		}
	})
}

// A provider that is gone is told too, with the secret that it had.
func TestTokensAreRevokedAtAProviderThatIsGone(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		s.metadata = func(m claims) { m["revocation_endpoint"] = s.URL + "/revoke" }
		x := s.revokesAt("/revoke")
		id := s.providerID()
		if err := s.dbs[0].Upstream().RemoveProvider(t.Context(), id, apikeys.By{}.Event("provider.remove", id, "")); err != nil {
			t.Fatal(err)
		}
		for _, g := range s.copies {
			g.Forget()
		}
		if err := s.revokeDue(2, time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if told := x.answers(200, nil); len(told) != 2 || told[0] != asUs+"refresh_token=rt" {
			t.Errorf("it was told %q", told)
		}
	})
}

// https://docs.github.com/en/rest/apps/oauth-applications#delete-an-app-authorization
func TestAGrantAtGitHubIsTakenBack(t *testing.T) {
	inSafe(t, func(t *testing.T, s *safe) {
		x := s.revokesAt("/applications/client/grant")
		rows := s.dbs[0].Upstream()
		all, err := rows.Providers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hub := all[0]
		hub.Kind, hub.Issuer, hub.RevokeURL, hub.UpdatedAt = "github", "", s.URL+"/applications/client/grant", hub.UpdatedAt.Add(time.Second)
		hub.TokenURL, hub.AuthorizeURL, hub.UserInfoURL = s.URL+"/token", s.URL+"/authorize", s.URL+"/user"
		if err := hub.Check(); err != nil {
			t.Fatal(err)
		}
		if err := rows.SetProvider(t.Context(), hub, all[0], apikeys.By{}.Event("provider.set", hub.ID, "")); err != nil {
			t.Fatal(err)
		}
		s.copies[0].Forget()
		s.unlinks()
		for i, status := range []int{401, 204} {
			x.answers(status, nil)
			err := s.revokeDue(0, time.Now().Add(time.Duration(i+1)*time.Hour))
			if told := x.answers(204, nil); (err == nil) != (status == 204) || len(told) != 1 || !strings.HasPrefix(told[0], "DELETE client very:secret% at-") {
				t.Errorf("%d: %v, %q", status, err, told)
			}
		}
	})
}

// Tokens are shown to nobody but who gave them.
func TestWhereTokensAreRevoked(t *testing.T) {
	for name, tt := range map[string]struct {
		p    upstream.Provider
		want string
	}{
		"Google":                    {upstream.Provider{Kind: "google"}, "https://oauth2.googleapis.com/revoke"},
		"GitHub":                    {upstream.Provider{Kind: "github", ClientID: "Iv1.a/b"}, "https://api.github.com/applications/Iv1.a%2Fb/grant"},
		"GitHub Enterprise Server":  {upstream.Provider{Kind: "github", ClientID: "c", Options: map[string]string{"host": "git.example"}}, "https://git.example/api/v3/applications/c/grant"},
		"GitLab":                    {upstream.Provider{Kind: "gitlab", Options: map[string]string{"host": "git.example"}}, "https://git.example/oauth/revoke"},
		"Discord":                   {upstream.Provider{Kind: "discord"}, "https://discord.com/api/oauth2/token/revoke"},
		"Apple":                     {upstream.Provider{Kind: "apple"}, "https://appleid.apple.com/auth/revoke"},
		"Microsoft has none":        {upstream.Provider{Kind: "microsoft"}, ""},
		"like Discord, elsewhere":   {upstream.Provider{Kind: "discord", TokenURL: "https://chat.example/token"}, ""},
		"like Google, elsewhere":    {upstream.Provider{Kind: "google", Issuer: "https://op.example"}, ""},
		"the row's, before all":     {upstream.Provider{Kind: "discord", TokenURL: "https://chat.example/token", RevokeURL: "https://chat.example/revoke"}, "https://chat.example/revoke"},
		"an issuer's, by discovery": {upstream.Provider{Kind: "oidc", Issuer: "https://op.example"}, ""},
	} {
		if got := upstream.RevokesAt(&tt.p); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
