package admin

import (
	"context"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"mintmark/apikeys"
)

// A route is one operation of the API.
type route struct {
	id     string // in the OpenAPI document
	method string
	path   string // below the prefix
	scope  string // what a key must have; empty: any good key will do
	status int    // of an answer that is not a refusal
	about  string // one line, for people
	open   func(huma.API, huma.Operation)
}

// routes is every operation there is. The router, the guard, the OpenAPI document and the
// test that proves who is kept out are all made from it.
func (a *api) routes() []route {
	return []route{
		{"info", "GET", "/info", "", 200, "Which server this is", to(a, a.info)},

		{"list-users", "GET", "/users", "users:read", 200, "List people", to(a, a.listUsers)},
		{"add-user", "POST", "/users", "users:write", 201, "Add a person", to(a, a.addUser)},
		{"get-user", "GET", "/users/{user_id}", "users:read", 200, "Look at a person", to(a, a.getUser)},
		{"set-user", "PATCH", "/users/{user_id}", "users:write", 200, "Change a person", to(a, a.setUser)},
		{"remove-user", "DELETE", "/users/{user_id}", "users:write", 204, "Forget a person, with everything of theirs", to(a, a.removeUser)},
		{"set-password", "PUT", "/users/{user_id}/password", "users:write", 204, "Give a person a new password and sign them out everywhere", to(a, a.setPassword)},
		{"disable-user", "POST", "/users/{user_id}/disable", "users:write", 200, "Lock a person out, at once and everywhere", to(a, a.disableUser)},
		{"enable-user", "POST", "/users/{user_id}/enable", "users:write", 200, "Let a person sign in again", to(a, a.enableUser)},
		{"list-user-sessions", "GET", "/users/{user_id}/sessions", "sessions:read", 200, "List where a person is signed in", to(a, a.listUserSessions)},
		{"revoke-user-sessions", "DELETE", "/users/{user_id}/sessions", "sessions:write", 204, "Sign a person out everywhere", to(a, a.revokeUserSessions)},

		{"list-identities", "GET", "/users/{user_id}/identities", "users:read", 200, "List the accounts elsewhere that a person can sign in with", to(a, a.listIdentities)},
		{"unlink-identity", "DELETE", "/users/{user_id}/identities/{provider_id}/{subject}", "users:write", 204, "Take such an account away, unless it is the last way in", to(a, a.unlink)},

		{"list-clients", "GET", "/clients", "clients:read", 200, "List applications", to(a, a.listClients)},
		{"add-client", "POST", "/clients", "clients:write", 201, "Register an application", to(a, a.addClient)},
		{"get-client", "GET", "/clients/{client_id}", "clients:read", 200, "Look at an application", to(a, a.getClient)},
		{"set-client", "PATCH", "/clients/{client_id}", "clients:write", 200, "Change an application: a JSON merge patch (RFC 7396)", to(a, a.setClient)},
		{"remove-client", "DELETE", "/clients/{client_id}", "clients:write", 204, "Forget an application and revoke everything it was given", to(a, a.removeClient)},
		{"disable-client", "POST", "/clients/{client_id}/disable", "clients:write", 200, "Refuse an application, at once and everywhere", to(a, a.disableClient)},
		{"enable-client", "POST", "/clients/{client_id}/enable", "clients:write", 200, "Let an application in again", to(a, a.enableClient)},
		{"add-client-secret", "POST", "/clients/{client_id}/secrets", "clients:write", 201, "Give an application a new secret; the one before stays good for a while", to(a, a.addSecret)},

		{"list-keys", "GET", "/keys", "keys:read", 200, "List API keys", to(a, a.listAPIKeys)},
		{"add-key", "POST", "/keys", "keys:write", 201, "Make an API key, or import one by its SHA-256", to(a, a.addAPIKey)},
		{"look-up-key", "POST", "/keys/lookup", "keys:read", 200, "Say which API key it is that somebody found", to(a, a.lookUpAPIKey)},
		{"verify-key", "POST", "/keys/verify", "keys:verify", 200, "Say who shows an API key, and whether it is good for something", to(a, a.verifyKey)},
		{"verify-keys", "POST", "/keys/verify-batch", "keys:verify", 200, "Say the same of up to 100 API keys", to(a, a.verifyKeys)},
		{"report-keys", "GET", "/keys/report", "keys:read", 200, "List the API keys that need a look, and why", to(a, a.reportKeys)},
		{"report-leaks", "POST", "/leaks", apikeys.ScopeLeak, 200, "Report API keys that were found where they should not be, and revoke them: with a key, or signed", to(a, a.reportLeaks)},
		{"get-key", "GET", "/keys/{key_id}", "keys:read", 200, "Look at an API key", to(a, a.getAPIKey)},
		{"set-key", "PATCH", "/keys/{key_id}", "keys:write", 200, "Change an API key", to(a, a.setAPIKey)},
		{"disable-key", "POST", "/keys/{key_id}/disable", "keys:write", 200, "Refuse an API key for a while", to(a, a.disableAPIKey)},
		{"enable-key", "POST", "/keys/{key_id}/enable", "keys:write", 200, "Take an API key again", to(a, a.enableAPIKey)},
		{"revoke-key", "POST", "/keys/{key_id}/revoke", "keys:write", 200, "Refuse an API key for good", to(a, a.revokeAPIKey)},
		{"rotate-key", "POST", "/keys/{key_id}/rotate", "keys:write", 201, "Make an API key in place of another, which goes on to work for a while", to(a, a.rotateAPIKey)},

		{"read-revocations", "GET", "/revocations", apikeys.ScopeRevocations, 200, "Hear what is revoked: as server-sent events, or page by page", to(a, a.readRevocations)},
		{"snapshot-revocations", "GET", "/revocations/snapshot", apikeys.ScopeRevocations, 200, "Everything that is revoked and still matters, as a signed JWT", to(a, a.snapshotRevocations)},

		// With an access token of a person: nothing else here takes one, and these take no key.
		{"list-own-keys", "GET", "/me/keys", apikeys.ScopeOwn, 200, "List the API keys of the person whose access token it is", to(a, a.listOwnKeys)},
		{"add-own-key", "POST", "/me/keys", apikeys.ScopeOwn, 201, "Make an API key for them", to(a, a.addOwnKey)},
		{"rotate-own-key", "POST", "/me/keys/{key_id}/rotate", apikeys.ScopeOwn, 201, "Make one in place of another of theirs", to(a, a.rotateOwnKey)},
		{"revoke-own-key", "POST", "/me/keys/{key_id}/revoke", apikeys.ScopeOwn, 200, "Refuse one of theirs for good", to(a, a.revokeOwnKey)},

		{"list-services", "GET", "/services", "services:read", 200, "List service accounts", to(a, a.listServices)},
		{"add-service", "POST", "/services", "services:write", 201, "Add a service account", to(a, a.addService)},
		{"get-service", "GET", "/services/{service_id}", "services:read", 200, "Look at a service account", to(a, a.getService)},
		{"disable-service", "POST", "/services/{service_id}/disable", "services:write", 200, "Refuse every API key of a service account", to(a, a.disableService)},
		{"enable-service", "POST", "/services/{service_id}/enable", "services:write", 200, "Take the API keys of a service account again", to(a, a.enableService)},
		{"remove-service", "DELETE", "/services/{service_id}", "services:write", 204, "Forget a service account and revoke its API keys", to(a, a.removeService)},

		{"list-providers", "GET", "/providers", "providers:read", 200, "List the providers that people can sign in with", to(a, a.listProviders)},
		{"add-provider", "POST", "/providers", "providers:write", 201, "Add a provider", to(a, a.addProvider)},
		{"get-provider", "GET", "/providers/{provider_id}", "providers:read", 200, "Look at a provider", to(a, a.getProvider)},
		{"set-provider", "PATCH", "/providers/{provider_id}", "providers:write", 200, "Change a provider: a JSON merge patch (RFC 7396)", to(a, a.setProvider)},
		{"remove-provider", "DELETE", "/providers/{provider_id}", "providers:write", 204, "Forget a provider and every link to it", to(a, a.removeProvider)},

		{"list-audit", "GET", "/audit", "audit:read", 200, "List what was changed about API keys, service accounts and providers, by whom and from where", to(a, a.listEvents)},

		{"list-signing-keys", "GET", "/signing-keys", "signing:read", 200, "List the keys that sign tokens", to(a, a.listKeys)},
		{"rotate-signing-keys", "POST", "/signing-keys/rotate", "signing:write", 201, "Make new signing keys", to(a, a.rotateKeys)},
		{"revoke-signing-key", "POST", "/signing-keys/{kid}/revoke", "signing:write", 204, "Refuse a signing key and every token that it signed", to(a, a.revokeKey)},

		{"list-sessions", "GET", "/sessions", "sessions:read", 200, "List where people are signed in", to(a, a.listSessions)},
		{"revoke-session", "DELETE", "/sessions/{session_id}", "sessions:write", 204, "End a session and revoke what applications got in it", to(a, a.revokeSession)},

		{"list-grants", "GET", "/grants", "grants:read", 200, "List what people allowed which application", to(a, a.listGrants)},
		{"revoke-grant", "DELETE", "/grants/{grant_id}", "grants:write", 204, "Forget a person's consent and revoke what the application got by it", to(a, a.revokeGrant)},
	}
}

// operation is the row as the library wants it.
func (r route) operation() huma.Operation {
	scopes := []string{}
	if r.scope != "" {
		scopes = append(scopes, r.scope)
	}
	return huma.Operation{
		OperationID:   r.id,
		Method:        r.method,
		Path:          prefix + r.path,
		DefaultStatus: r.status,
		Summary:       r.about,
		Tags:          []string{r.resource()},
		MaxBodyBytes:  MaxBody,
		// OpenAPI 3.1 allows the names of scopes for every type of scheme.
		Security: []map[string][]string{{"apiKey": scopes}, {"bearer": scopes}},
		Metadata: map[string]any{scopeOf: r.scope},
	}
}

// resource is the first part of the path.
func (r route) resource() string {
	name, _, _ := strings.Cut(r.path[1:], "/")
	return name
}

// to makes an operation of a handler. Its errors become problems here, and nowhere else.
func to[In, Out any](a *api, do func(context.Context, *In) (*Out, error)) func(huma.API, huma.Operation) {
	return func(h huma.API, op huma.Operation) {
		problem := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
		op.Responses = map[string]*huma.Response{"default": {
			Description: "A refusal",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}}
		huma.Register(h, op, func(ctx context.Context, in *In) (*Out, error) {
			out, err := do(ctx, in)
			if err != nil {
				return nil, a.problem(ctx, err, op.Tags[0])
			}
			return out, nil
		})
	}
}

// done is the answer of operations that only do something.
type done struct{}
