package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mintmark/accounts"
	"mintmark/admin"
	"mintmark/apikeys"
	"mintmark/internal/secret"
	"mintmark/upstream"
)

// The description is by hand, and what is sent is read by upstream.Provider.
func TestProvidersAreDescribedAsTheyAreRead(t *testing.T) {
	own := []string{"id", "name", "kind", "issuer", "client_id", "managed", "created_at", "updated_at", "disabled_at"}
	settings := admin.Members(reflect.TypeFor[admin.ProviderSettings]())
	read := admin.Members(reflect.TypeFor[upstream.Provider]())
	for _, name := range read {
		if !slices.Contains(own, name) && !slices.Contains(settings, name) {
			t.Errorf("%s is not described", name)
		}
	}
	for _, name := range settings {
		if !slices.Contains(read, name) {
			t.Errorf("%s is described, and is not read", name)
		}
	}
}

func TestTheLifeOfAProvider(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		const password = "hunter2-and-more"
		added := op.does("POST", "/providers", map[string]any{
			"name": "work", "kind": "google", "title": "Work", "client_id": "us", "client_secret": password,
			"link_by": "verified-email", "authoritative": []string{"example.com"}, "domains": []string{"example.com"}, "sign_up": "domains",
			"mapping": map[string]string{"nickname": "nick"}, "roles": []map[string]string{{"claim": "groups", "value": "ops", "role": "admin"}},
		})
		id := added["id"].(string)
		for member, want := range map[string]any{
			"name": "work", "kind": "google", "issuer": "https://accounts.google.com", "client_id": "us", "has_secret": true, "disabled": false,
			"redirect_uri": "https://id.example/login/work/callback", "link_by": "verified-email", "sign_up": "domains", "managed": nil, "client_secret": nil,
		} {
			if added[member] != want {
				t.Errorf("%s is %v, want %v", member, added[member], want)
			}
		}
		// The secret is sealed for this row, and nowhere to be seen.
		stored := op.provider(id)
		if plain, err := op.sealer.Open(stored.SealedSecret, upstream.SecretAAD(id)); err != nil || string(plain) != password {
			t.Errorf("the secret is %q, %v", plain, err)
		}
		for _, path := range []string{"/providers", "/providers/work", "/providers/" + id, "/audit"} {
			if a := op.ask("GET", path, nil); a.status != 200 || strings.Contains(a.text, password) || strings.Contains(strings.ToLower(a.text), "sealed") {
				t.Errorf("%s: %d %s", path, a.status, a.text)
			}
		}
		if strings.Contains(op.log.String(), password) {
			t.Error("the secret is in the log")
		}
		op.refuses(409, "exists", "POST", "/providers", map[string]any{"name": "work", "kind": "google", "client_id": "us", "client_secret": "x"})

		// A change says only what is different. What is null goes, inside of tables too.
		changed := op.does("PATCH", "/providers/work", map[string]any{"title": nil, "mapping": map[string]any{"locale": "lang"}, "domains": []string{"example.com", "example.org"}})
		if changed["title"] != nil || fmt.Sprint(changed["mapping"]) != "map[locale:lang nickname:nick]" || fmt.Sprint(changed["domains"]) != "[example.com example.org]" || changed["link_by"] != "verified-email" {
			t.Errorf("after a change: %v", changed)
		}
		changed = op.does("PATCH", "/providers/"+id, map[string]any{"mapping": map[string]any{"nickname": nil}})
		if fmt.Sprint(changed["mapping"]) != "map[locale:lang]" || changed["has_secret"] != true {
			t.Errorf("after another: %v", changed)
		}
		op.does("PATCH", "/providers/work", map[string]any{"client_secret": "another"})
		if plain, err := op.sealer.Open(op.provider(id).SealedSecret, upstream.SecretAAD(id)); err != nil || string(plain) != "another" {
			t.Errorf("the new secret is %q, %v", plain, err)
		}
		off := op.does("PATCH", "/providers/work", map[string]any{"disabled": true})
		since := off["disabled_at"]
		if list, err := op.upstream.Enabled(t.Context(), time.Now()); err != nil || len(list) != 0 {
			t.Errorf("it is disabled, and people may sign in with %v, %v", list, err)
		}
		if off = op.does("PATCH", "/providers/work", map[string]any{"disabled": true}); off["disabled"] != true || off["disabled_at"] != since || since == nil {
			t.Errorf("disabled again: %v, was %v", off, since)
		}
		if on := op.does("PATCH", "/providers/work", map[string]any{"disabled": false, "name": "works"}); on["disabled"] != false || on["redirect_uri"] != "https://id.example/login/works/callback" {
			t.Errorf("enabled: %v", on)
		}

		// A change for a state that it is not in any more.
		read := op.ask("GET", "/providers/works", nil)
		op.does("PATCH", "/providers/works", map[string]any{"title": "X"})
		op.refuses(412, "changed", "PATCH", "/providers/works", map[string]any{"title": "Y"}, "If-Match", read.header.Get("ETag"))

		op.does("DELETE", "/providers/works", nil)
		op.refuses(404, "not_found", "GET", "/providers/"+id, nil)
		op.refuses(404, "not_found", "DELETE", "/providers/"+id, nil)
		var did []string
		for _, e := range op.does("GET", "/audit?order=oldest&ref="+id, nil)["items"].([]any) {
			e := e.(map[string]any)
			did = append(did, e["action"].(string))
			if e["actor"] == "" || e["via"] != "api" || e["request_id"] != "req_1" {
				t.Errorf("nobody did it: %v", e)
			}
		}
		if want := "provider.add provider.set provider.set provider.set provider.disable provider.set provider.enable provider.set provider.remove"; strings.Join(did, " ") != want {
			t.Errorf("the audit log has %v", did)
		}
	})
}

// What is wrong with a provider is said in one sentence that names the member.
func TestProvidersThatAreNone(t *testing.T) {
	op := onSQLite(t)
	sound := map[string]any{"name": "x", "kind": "github", "client_id": "us", "client_secret": "s"}
	for _, tt := range []struct {
		name   string
		change map[string]any
		field  string
	}{
		{"a name with a capital", map[string]any{"name": "Work"}, "name"},
		{"no name", map[string]any{"name": ""}, "name"},
		{"a kind that nobody knows", map[string]any{"kind": "facebook"}, "kind"},
		{"no client", map[string]any{"client_id": ""}, "client_id"},
		{"no secret", map[string]any{"client_secret": ""}, "client_secret"},
		{"an address in clear text", map[string]any{"token_url": "http://x.example/token"}, "token_url"},
		{"linking by nothing that there is", map[string]any{"link_by": "email"}, "link_by"},
		{"domains without one", map[string]any{"sign_up": "domains"}, "domains"},
		{"an option of another kind", map[string]any{"options": map[string]string{"team_id": "x"}}, "options"},
		{"a claim that there is not", map[string]any{"mapping": map[string]string{"roles": "x"}}, "mapping"},
		{"a rule without a role", map[string]any{"roles": []map[string]string{{"claim": "groups", "value": "x", "role": ""}}}, "roles"},
		{"an issuer that is missing", map[string]any{"kind": "oidc"}, "issuer"},
		{"a key that is none", map[string]any{"kind": "apple", "options": map[string]string{"team_id": "T", "key_id": "K"}}, "client_secret"},
	} {
		in := map[string]any{}
		for _, m := range []map[string]any{sound, tt.change} {
			for k, v := range m {
				in[k] = v
			}
		}
		a := op.refuses(422, "invalid", "POST", "/providers", in)
		problems, _ := a.body["errors"].([]any)
		if len(problems) != 1 || problems[0].(map[string]any)["field"] != tt.field || strings.Count(a.body["detail"].(string), "\n") > 0 {
			t.Errorf("%s: %s", tt.name, a.text)
		}
	}
	op.refuses(422, "invalid", "POST", "/providers", map[string]any{"name": "x", "kind": "github", "client_id": "us", "client_secret": "s", "colour": "red"})
	op.does("POST", "/providers", sound)
	for name, change := range map[string]map[string]any{
		"another kind":                 {"kind": "google"},
		"another issuer":               {"issuer": "https://x.example"},
		"another host":                 {"options": map[string]string{"host": "git.example"}},
		"it is the configuration's":    {"managed": "configuration"},
		"the secret is taken away":     {"client_secret": nil},
		"a link policy that is nobody": {"link_by": "anything"},
	} {
		if a := op.ask("PATCH", "/providers/x", change); a.status != 422 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
}

// An operator's own address is asked at once.
func TestAProviderIsAskedWhoItIs(t *testing.T) {
	op := onSQLite(t)
	var at *httptest.Server
	metadata := `{"issuer":"%s","authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/t","jwks_uri":"%[1]s/jwks"}`
	at = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/good/.well-known/openid-configuration":
			fmt.Fprintf(w, metadata, at.URL+"/good")
		case "/keyless/.well-known/openid-configuration":
			fmt.Fprintf(w, metadata, at.URL+"/keyless")
		case "/liar/.well-known/openid-configuration":
			fmt.Fprintf(w, metadata, "https://accounts.google.com")
		case "/junk/.well-known/openid-configuration":
			fmt.Fprint(w, "<html>")
		case "/good/jwks":
			fmt.Fprint(w, `{"keys":[]}`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer at.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	add := func(issuer string, unchecked bool) map[string]any {
		return map[string]any{"name": strings.ToLower(secret.NewShortID()), "kind": "oidc", "issuer": issuer, "client_id": "us", "unchecked": unchecked}
	}
	op.does("POST", "/providers", add(at.URL+"/good", false))
	for issuer, want := range map[string]string{
		at.URL + "/liar":    "the metadata is of the issuer",
		at.URL + "/junk":    "",
		at.URL + "/keyless": "404",
		at.URL + "/nothing": "404",
		gone.URL:            "does not answer",
	} {
		a := op.refuses(422, "invalid", "POST", "/providers", add(issuer, false))
		if detail := a.body["detail"].(string); !strings.HasPrefix(detail, "issuer leads to no OpenID Connect provider: ") || !strings.Contains(detail, want) {
			t.Errorf("%s: %s", issuer, detail)
		}
		op.does("POST", "/providers", add(issuer, true))
	}
}

// What the configuration says is changed there.
func TestProvidersOfTheConfiguration(t *testing.T) {
	op := onSQLite(t)
	p := upstream.Provider{ID: secret.NewID("prv"), Name: "github", Kind: "github", ClientID: "us", Managed: upstream.ManagedByConfiguration, UpdatedAt: time.Now().Truncate(time.Microsecond)}
	p.SealedSecret = op.sealer.Seal([]byte("s"), upstream.SecretAAD(p.ID))
	must(t, op.db.Upstream().AddProvider(t.Context(), p, apikeys.By{}.Event("provider.add", p.ID, "")))
	for _, change := range []map[string]any{{"client_id": "x"}, {"client_secret": "x"}, {"client_secret": nil}, {"name": "x"}, {"options": map[string]string{"auth": "post"}}} {
		if a := op.refuses(409, "managed", "PATCH", "/providers/github", change); !strings.Contains(a.text, "providers.github") {
			t.Errorf("it is not said where: %s", a.text)
		}
	}
	op.refuses(409, "managed", "DELETE", "/providers/github", nil)
	shown := op.does("PATCH", "/providers/github", map[string]any{"link_by": "verified-email", "disabled": true})
	if shown["managed"] != "configuration" || shown["link_by"] != "verified-email" || shown["disabled"] != true {
		t.Errorf("the rest is an operator's: %v", shown)
	}
	was := op.provider(p.ID)
	is := was
	is.Managed, is.UpdatedAt = upstream.ManagedNoLonger, was.UpdatedAt.Add(time.Second)
	must(t, op.db.Upstream().SetProvider(t.Context(), is, was, apikeys.By{}.Event("provider.set", p.ID, "")))
	op.refuses(409, "managed", "PATCH", "/providers/github", map[string]any{"disabled": false})
	op.does("DELETE", "/providers/github", nil)
}

func TestChangesOfAProviderAtTheSameMoment(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		op.does("POST", "/providers", map[string]any{"name": "x", "kind": "github", "client_id": "us", "client_secret": "s"})
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				claim := []string{"nickname", "website", "gender", "locale", "zoneinfo", "birthdate", "middle_name", "given_name"}[i]
				op.does("PATCH", "/providers/x", map[string]any{"mapping": map[string]string{claim: "a"}})
			})
		}
		all.Wait()
		if got := op.does("GET", "/providers/x", nil)["mapping"].(map[string]any); len(got) != 8 {
			t.Errorf("changes were lost: %v", got)
		}
	})
}

func TestIdentitiesOfAPerson(t *testing.T) {
	onEach(t, func(t *testing.T, op *operator) {
		op.does("POST", "/providers", map[string]any{"name": "hub", "kind": "github", "client_id": "us", "client_secret": "s"})
		ada := op.addUser("ada@example.com")
		hub := op.does("GET", "/providers/hub", nil)["id"].(string)
		for _, subject := range []string{"1", "a/b?c d"} {
			must(t, op.db.Accounts().AddLink(t.Context(), accounts.Link{ProviderID: hub, Subject: subject, AccountID: ada, Email: "ada@hub.example", LinkedAt: time.Now()}, 20, false))
		}
		items, _ := op.items("/users/"+ada+"/identities", "1")
		if len(items) != 2 || items[0]["provider"] != "hub" || items[0]["provider_id"] != hub || items[0]["subject"] != "1" || items[1]["email"] != "ada@hub.example" {
			t.Fatalf("linked: %v", items)
		}
		op.refuses(404, "not_found", "GET", "/users/usr_nobody/identities", nil)
		op.refuses(404, "not_found", "DELETE", "/users/"+ada+"/identities/hub/2", nil)
		op.refuses(404, "not_found", "DELETE", "/users/"+ada+"/identities/nowhere/1", nil)
		op.does("DELETE", "/users/"+ada+"/identities/hub/a%2Fb%3Fc%20d", nil)
		// The other one is the last way in of somebody without a password.
		op.refuses(409, "last_way", "DELETE", "/users/"+ada+"/identities/"+hub+"/1", nil)
		op.does("PUT", "/users/"+ada+"/password", map[string]string{"password": "correct horse battery staple"})
		op.does("DELETE", "/users/"+ada+"/identities/"+hub+"/1", nil)
	})
}

// provider is one as it is stored.
func (op *operator) provider(id string) upstream.Provider {
	op.t.Helper()
	all, err := op.db.Upstream().Providers(op.t.Context())
	must(op.t, err)
	at := slices.IndexFunc(all, func(p upstream.Provider) bool { return p.ID == id })
	if at < 0 {
		op.t.Fatalf("there is no provider %s", id)
	}
	return all[at]
}
