package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"mintmark/upstream"
)

// GitHub's documents, in the shape of its reference: GET /user, GET /user/emails.
const (
	githubUser = `{"login":"octocat","id":583231,"node_id":"MDQ6VXNlcjE=","avatar_url":"https://avatars.githubusercontent.com/u/583231?v=4",
		"gravatar_id":"","url":"https://api.github.com/users/octocat","html_url":"https://github.com/octocat","type":"User","site_admin":false,
		"name":"monalisa octocat","company":"GitHub","blog":"https://github.com/blog","location":"San Francisco","email":"shown@example.com",
		"hireable":false,"bio":"There once was...","twitter_username":"monatheoctocat","public_repos":2,"followers":20,
		"created_at":"2008-01-14T04:33:35Z","two_factor_authentication":true,"plan":{"name":"Medium","space":400}}`
	githubEmails = `[{"email":"old@example.com","verified":true,"primary":false,"visibility":null},
		{"email":"octocat@github.com","verified":true,"primary":true,"visibility":"public"}]`
	githubToken = `{"access_token":"gho_16C7e42F292c6912E7710c838347Ae178B4a","scope":"read:user,user:email","token_type":"bearer"}`
)

func TestGitHub(t *testing.T) {
	newGitHub := func(t *testing.T) *world {
		w := newWorld(t)
		w.add(upstream.Provider{Name: "github", Kind: "github", AuthorizeURL: w.op.URL + "/login/oauth/authorize",
			TokenURL: w.op.URL + "/login/oauth/access_token", UserInfoURL: w.op.URL + "/api/v3/user", KeepTokens: true})
		w.op.routes["/login/oauth/access_token"] = func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept") != "application/json" || r.PostFormValue("client_secret") != w.op.secret || len(r.PostFormValue("code_verifier")) < 43 {
				answers(200, `{"error":"incorrect_client_credentials"}`)(rw, r)
				return
			}
			answers(200, githubToken)(rw, r)
		}
		w.op.routes["/api/v3/user"] = needs("gho_16C7e42F292c6912E7710c838347Ae178B4a", answers(200, githubUser))
		w.op.routes["/api/v3/user/emails"] = answers(200, githubEmails)
		return w
	}
	w := newGitHub(t)
	address, err := w.begins("github", upstream.Purpose{LoginHint: "x"})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(address)
	if q := u.Query(); q.Get("scope") != "read:user user:email" || q.Has("nonce") || q.Get("code_challenge_method") != "S256" {
		t.Errorf("the browser goes to %s", address)
	}
	q := w.op.consent(address)
	q.Del("iss")
	who, _, err := w.returns("github", q)
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "583231" || who.Email != "octocat@github.com" || !who.EmailVerified || who.Name != "monalisa octocat" || !strings.Contains(string(who.Claims), `"preferred_username":"octocat"`) {
		t.Errorf("who arrived is %+v, %s", who, who.Claims)
	}
	if strings.Join(who.Tokens.Scopes, " ") != "read:user user:email" {
		t.Errorf("the scopes are %q", who.Tokens.Scopes)
	}
	for _, tt := range []struct {
		name, path, body string
		status           int
		want, email      string
	}{
		{"no main address is verified", "/user/emails", `[{"email":"a@example.com","verified":false,"primary":true},{"email":"b@example.com","verified":true,"primary":false}]`, 200, "<nil>", ""},
		{"verified is a text", "/user/emails", `[{"email":"a@example.com","verified":"true","primary":true}]`, 200, "<nil>", ""},
		{"no addresses", "/user/emails", `[]`, 200, "<nil>", ""},
		{"addresses are not a list", "/user/emails", `{"email":"a@example.com"}`, 200, "bad_userinfo", ""},
		{"without the scope", "/user/emails", `{"message":"Not Found"}`, 404, "no_email_scope", ""},
		{"an address with two @", "/user/emails", `[{"email":"a@b@example.com","verified":true,"primary":true}]`, 200, "bad_email", ""},
		{"the id is a text", "/user", `{"id":"583231","login":"octocat"}`, 200, "bad_subject", ""},
		{"the id is not whole", "/user", `{"id":5.5}`, 200, "bad_subject", ""},
		{"the id is negative", "/user", `{"id":-5}`, 200, "bad_subject", ""},
		{"no id, but a name", "/user", `{"login":"octocat","sub":"583231"}`, 200, "bad_subject", ""},
		{"a verified address in the user", "/user", `{"id":1,"login":"o","email":"x@example.com","email_verified":true}`, 200, "<nil>", "octocat@github.com"},
		{"bad credentials", "/user", `{"message":"Bad credentials"}`, 401, "bad_userinfo", ""},
	} {
		w := newGitHub(t)
		w.op.routes["/api/v3"+tt.path] = answers(tt.status, tt.body)
		who, err := w.signsIn("github")
		if code(err) != tt.want || who.Email != tt.email {
			t.Errorf("%s: %v, %+v", tt.name, err, who)
		}
	}
}

func TestGitHubEnterpriseServerByItsHost(t *testing.T) {
	w := newWorld(t)
	w.add(upstream.Provider{Name: "ghe", Kind: "github", Options: map[string]string{"host": "git.acme.example:8443"}})
	address, err := w.begins("ghe", upstream.Purpose{})
	if err != nil || !strings.HasPrefix(address, "https://git.acme.example:8443/login/oauth/authorize?") {
		t.Error(address, err)
	}
}

// Discord's documents: GET /users/@me, GET /users/@me/guilds/{guild.id}/member.
const (
	discordUser = `{"id":"80351110224678912","username":"nelly","discriminator":"0","global_name":null,"avatar":"8342729096ea3675442027381ff50dfe",
		"verified":true,"email":"nelly@discord.com","flags":64,"banner":"06c16474723fe537c283b8efa61a30c8","accent_color":16711680,
		"premium_type":1,"public_flags":64,"locale":"en-US","mfa_enabled":true,"member":{"roles":["1"]}}`
	discordMember = `{"user":{"id":"80351110224678912","username":"nelly"},"nick":"NOT API SUPPORT","avatar":null,
		"roles":["41771983423143936","41771983423143937"],"joined_at":"2015-04-26T06:26:56.936000+00:00","deaf":false,"mute":false}`
	discordToken = `{"access_token":"6qrZcUqja7812RVdnEKjpzOL4CvHBFG","token_type":"Bearer","expires_in":604800,"refresh_token":"D43f5y0ahjqew82jZ4NViEr2YafMKhue","scope":"identify email"}`
)

func TestDiscord(t *testing.T) {
	newDiscord := func(t *testing.T, guild string) *world {
		w := newWorld(t)
		p := upstream.Provider{Name: "discord", Kind: "discord", AuthorizeURL: w.op.URL + "/oauth2/authorize", TokenURL: w.op.URL + "/api/oauth2/token",
			UserInfoURL: w.op.URL + "/api/users/@me", Roles: []upstream.RoleRule{{Claim: "groups", Value: "41771983423143937", Role: "admin"}}}
		if guild != "" {
			p.Options = map[string]string{"guild": guild}
		}
		w.add(p)
		w.op.routes["/api/oauth2/token"] = answers(200, discordToken)
		w.op.routes["/api/users/@me"] = needs("6qrZcUqja7812RVdnEKjpzOL4CvHBFG", answers(200, discordUser))
		w.op.routes["/api/users/@me/guilds/41771983423143937/member"] = answers(200, discordMember)
		return w
	}
	w := newDiscord(t, "")
	who, err := w.signsIn("discord")
	if err != nil || who.Subject != "80351110224678912" || who.Email != "nelly@discord.com" || !who.EmailVerified || who.Name != "nelly" || who.Groups != nil || who.Roles != nil {
		t.Errorf("who arrived is %+v, %v", who, err)
	}
	w = newDiscord(t, "41771983423143937")
	address, err := w.begins("discord", upstream.Purpose{})
	if err != nil || !strings.Contains(address, "scope=identify+email+guilds.members.read") {
		t.Fatal(address, err)
	}
	who, _, err = w.returns("discord", w.op.consent(address))
	if err != nil || strings.Join(who.Groups, " ") != "41771983423143936 41771983423143937" || strings.Join(who.Roles, " ") != "admin" {
		t.Errorf("who arrived is %+v, %v", who, err)
	}
	for _, tt := range []struct {
		name, path, body string
		status           int
		want             string
		verified         bool
	}{
		{"not verified", "/api/users/@me", strings.Replace(discordUser, `"verified":true`, `"verified":false`, 1), 200, "<nil>", false},
		{"verified is a text", "/api/users/@me", strings.Replace(discordUser, `"verified":true`, `"verified":"true"`, 1), 200, "bad_email_verified", false},
		{"no address", "/api/users/@me", strings.Replace(discordUser, `"nelly@discord.com"`, "null", 1), 200, "<nil>", false},
		{"the id is a number", "/api/users/@me", `{"id":80351110224678912}`, 200, "bad_subject", false},
		{"not in the guild", "/api/users/@me/guilds/41771983423143937/member", `{"message":"Unknown Guild","code":10004}`, 404, "not_a_member", false},
		{"a member that is somebody else", "/api/users/@me/guilds/41771983423143937/member", strings.Replace(discordMember, "80351110224678912", "1", 1), 200, "other_subject", false},
		{"roles that are not texts", "/api/users/@me/guilds/41771983423143937/member", `{"roles":[1,2]}`, 200, "bad_groups", false},
	} {
		w := newDiscord(t, "41771983423143937")
		w.op.routes[tt.path] = answers(tt.status, tt.body)
		who, err := w.signsIn("discord")
		if code(err) != tt.want || who.EmailVerified != tt.verified {
			t.Errorf("%s: %v, %+v", tt.name, err, who)
		}
	}
}

func TestGoogle(t *testing.T) {
	for _, tt := range []struct {
		email  string
		claims claims
		hosted bool
	}{
		{"ada@gmail.com", claims{}, true},
		{"ada@GoogleMail.com", claims{}, true},
		{"ada@acme.example", claims{"hd": "acme.example"}, true},
		{"ada@acme.example", claims{"hd": "other.example"}, false},
		{"ada@acme.example", claims{}, false},
		{"ada@gmail.com", claims{"email_verified": false}, false},
		{"ada@gmail.com.evil.example", claims{}, false},
	} {
		w := newWorld(t)
		w.add(upstream.Provider{Name: "google", Kind: "google", Issuer: w.op.URL, KeepTokens: true})
		w.op.claims = func(c claims) {
			c["email"] = tt.email
			for name, v := range tt.claims {
				c[name] = v
			}
		}
		address, err := w.begins("google", upstream.Purpose{})
		if err != nil || !strings.Contains(address, "access_type=offline") {
			t.Fatal(address, err)
		}
		who, _, err := w.returns("google", w.op.consent(address))
		if err != nil || who.EmailHosted != tt.hosted {
			t.Errorf("%v: %+v, %v", tt, who, err)
		}
	}
}

// TestMicrosoft: the issuer has the tenant of each person in it, and an address is nothing that
// Microsoft vouches for (nOAuth), unless it says that the tenant owns the domain.
func TestMicrosoft(t *testing.T) {
	const tenant = "3338040d-6c67-4c5b-b112-36a304b66dad"
	for _, tt := range []struct {
		name     string
		change   func(w *world, c claims)
		want     string
		verified bool
	}{
		{"as it comes", func(*world, claims) {}, "<nil>", false},
		{"email_verified, which Microsoft does not have", func(_ *world, c claims) { c["email_verified"] = true }, "<nil>", false},
		{"the domain is the tenant's", func(_ *world, c claims) { c["xms_edov"] = true }, "<nil>", true},
		{"the domain is not the tenant's", func(_ *world, c claims) { c["xms_edov"] = false }, "<nil>", false},
		{"iss of another tenant than tid", func(_ *world, c claims) { c["tid"] = "4448040d-6c67-4c5b-b112-36a304b66dad" }, "id_token_issuer", false},
		{"no tid", func(_ *world, c claims) { c["tid"] = nil }, "id_token_issuer", false},
		{"a tenant that is not one", func(w *world, c claims) { c["iss"], c["tid"] = w.op.URL+"/evil/v2.0", "evil" }, "id_token_issuer", false},
		{"the template itself", func(w *world, c claims) { c["iss"], c["tid"] = w.op.URL+"/{tenantid}/v2.0", "{tenantid}" }, "id_token_issuer", false},
		{"another host", func(_ *world, c claims) { c["iss"] = "https://login.evil.example/" + tenant + "/v2.0" }, "id_token_issuer", false},
	} {
		w := newWorld(t)
		w.add(upstream.Provider{Name: "ms", Kind: "microsoft", Issuer: w.op.URL + "/common/v2.0"})
		w.op.routes["/common/v2.0/.well-known/openid-configuration"] = w.op.discovery
		w.op.metadata = func(m claims) {
			m["issuer"] = w.op.URL + "/{tenantid}/v2.0"
			m["authorization_response_iss_parameter_supported"] = nil
			m["userinfo_endpoint"] = "https://graph.microsoft.com/oidc/userinfo"
			without(m)
		}
		w.op.claims = func(c claims) {
			c["iss"], c["tid"], c["email_verified"], c["name"] = w.op.URL+"/"+tenant+"/v2.0", tenant, nil, nil
			tt.change(w, c)
		}
		address, err := w.begins("ms", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		q := w.op.consent(address)
		q.Del("iss")
		who, _, err := w.returns("ms", q)
		if code(err) != tt.want || who.EmailVerified != tt.verified || err == nil && who.Subject != tenant+":ada-1" {
			t.Errorf("%s: %v, %+v", tt.name, err, who)
		}
	}
}

func TestApple(t *testing.T) {
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	w.op.secret = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	p := upstream.Provider{Name: "apple", Kind: "apple", Issuer: w.op.URL, AuthorizeURL: w.op.URL + "/auth/authorize", TokenURL: w.op.URL + "/auth/token",
		JWKSURL: w.op.URL + "/jwks", Algorithms: []string{"ES256"}, Options: map[string]string{"team_id": "TEAM123456", "key_id": "KEY1234567"}}
	if err := p.CheckSecret(w.op.secret); err != nil {
		t.Error(err)
	}
	if err := p.CheckSecret("not a key"); err == nil || strings.Contains(err.Error(), "not a key") {
		t.Error(err)
	}
	w.add(p)
	w.op.routes["/auth/token"] = func(rw http.ResponseWriter, r *http.Request) {
		token, err := jose.ParseSignedCompact(r.PostFormValue("client_secret"), []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Error(err)
			return
		}
		text, err := token.Verify(key.Public())
		if err != nil || token.Signatures[0].Header.KeyID != "KEY1234567" {
			t.Error(err)
		}
		var c struct {
			Issuer, Subject, Audience string
			Expires                   int64 `json:"exp"`
		}
		var m map[string]any
		json.Unmarshal(text, &m)
		json.Unmarshal(text, &c)
		if m["iss"] != "TEAM123456" || m["sub"] != "client" || m["aud"] != "https://appleid.apple.com" || time.Until(time.Unix(c.Expires, 0)) > time.Hour {
			t.Errorf("the client secret is %s", text)
		}
		w.op.mu.Lock()
		q := w.op.grants[r.PostFormValue("code")]
		w.op.mu.Unlock()
		reply(rw, 200, claims{"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "id_token": w.op.idToken(q, "a")})
	}
	w.op.claims = func(c claims) {
		c["email"], c["email_verified"], c["is_private_email"], c["name"] = "x@privaterelay.appleid.com", "true", "true", nil
	}
	finish := func(method, user string) (upstream.Identity, error) {
		address, err := w.begins("apple", upstream.Purpose{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(address, "response_mode=form_post") || !strings.Contains(address, "scope=name+email&") {
			t.Errorf("the browser goes to %s", address)
		}
		for _, c := range w.browser {
			if c.SameSite != http.SameSiteLaxMode || !c.Secure {
				t.Errorf("other sites' forms would bring the cookie: %+v", c)
			}
		}
		q := w.op.consent(address)
		q.Del("iss")
		if user != "" {
			q.Set("user", user)
		}
		if method == "GET" {
			who, _, err := w.returns("apple", q)
			return who, err
		}
		query, err := w.posts("apple", q.Encode())
		if err != nil {
			return upstream.Identity{}, err
		}
		for _, part := range []string{q.Get("code"), "Ada"} {
			if strings.Contains(query, part) {
				t.Errorf("%s stands in the address: %s", part, query)
			}
		}
		back, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		// What was sealed opens at this provider only, with its state only, and unchanged.
		for name, change := range map[string]func(q url.Values){
			"changed":       func(q url.Values) { q.Set("answer", q.Get("answer")[:20]+"AAAA"+q.Get("answer")[24:]) },
			"cut":           func(q url.Values) { q.Set("answer", q.Get("answer")[:20]) },
			"left out":      func(q url.Values) { q.Del("answer") },
			"another state": func(q url.Values) { q.Set("state", strings.Repeat("a", 44)) },
			"no state":      func(q url.Values) { q.Del("state") },
		} {
			other := maps.Clone(back)
			change(other)
			if _, _, err := w.returns("apple", other); code(err) != "bad_callback" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := w.returns("twin", back); code(err) != "bad_callback" {
			t.Errorf("at another provider: %v", err)
		}
		who, _, err := w.returns("apple", back)
		return who, err
	}
	p.Name = "twin"
	w.add(p)
	who, err := finish("POST", `{"name":{"firstName":"Ada","lastName":"Lovelace"},"email":"admin@example.com"}`)
	if err != nil || who.Name != "Ada Lovelace" || who.Email != "x@privaterelay.appleid.com" || !who.EmailVerified || !who.EmailHosted {
		t.Errorf("the first time: %+v, %v", who, err)
	}
	for _, user := range []string{"", "{", `{"name":{"firstName":"\u202eAda"}}`, `{"name":{"firstName":{}}}`, `{"name":"` + strings.Repeat("x", 5000) + `"}`} {
		if who, err := finish("POST", user); err != nil || who.Name != "" {
			t.Errorf("%.40q: %+v, %v", user, who, err)
		}
	}
	if _, err := finish("GET", ""); code(err) != "bad_callback" {
		t.Errorf("by GET: %v", err)
	}
	state := strings.Repeat("a", 44)
	for _, form := range []string{"", "state=" + state + "&state=" + state, "state=short&code=x", "state=" + state + "&code=" + strings.Repeat("x", 5000),
		"state=" + state + "&x=" + strings.Repeat("x", 20000), "%zz"} {
		if query, err := w.posts("apple", form); code(err) != "bad_callback" {
			t.Errorf("%.60s became %s, %v", form, query, err)
		}
	}
	if _, err := w.posts("op", "state="+state); code(err) != "bad_callback" {
		t.Errorf("by POST, where GET was asked for: %v", err)
	}
	if _, err := w.posts("nobody", "state="+state); code(err) != "unknown_provider" {
		t.Errorf("at no provider: %v", err)
	}
}

// needs answers only whoever has the token.
func needs(token string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("User-Agent") == "" {
			answers(401, `{"message":"Requires authentication"}`)(w, r)
			return
		}
		h(w, r)
	}
}
