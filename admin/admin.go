package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"
	"github.com/gorilla/mux"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/revocations"
	"mintmark/upstream"
)

// A Config says what the API looks after. Everything is required but
// Database, Propagated, Unavailable, RequestID, ClientAddress and Log.
type Config struct {
	Accounts *accounts.Directory
	Registry issuer.Registry
	Provider *issuer.Provider
	Keys     *keys.Keyring
	APIKeys  *apikeys.Registry
	Guard    *bearer.Guard // with the registry as its Keys, and nothing else
	// Providers are those of Upstream, to be looked after.
	Providers Providers
	Upstream  *upstream.Registry

	Issuer  string // the issuer identifier, as applications know it
	Version string // of the program

	// Revocations tells services what is revoked.
	Revocations *revocations.Hub

	// Database says how the database is set up.
	Database func(context.Context) (Database, error)
	// Propagated waits until every copy of the server has heard of what was changed before it was
	// called, and says whether they have: it does not wait long. Without it there is one copy.
	Propagated func(context.Context) (bool, error)
	// People lets in who shows an access token, for what people do with keys of their own. Nil: nobody.
	People *bearer.Guard
	// Reporters may report leaked keys without an API key. Nil: nobody.
	Reporters *apikeys.Reporters
	// Unavailable says whether an error of the stores means that the database can't be reached
	// or that nobody knows whether a change was made. Then the answer is 503 and not 500.
	Unavailable func(error) bool
	// RequestID returns the id of a request, for the problem documents.
	RequestID func(context.Context) string
	// ClientAddress returns where a request comes from: keys can be bound to networks.
	ClientAddress func(*http.Request) string
	// Log gets what went wrong on our side, and one line for each change. The default is
	// [slog.Default].
	Log *slog.Logger
}

// prefix is where the API lives, below the issuer.
const prefix = "/api/v1"

// An api is the running thing.
type api struct {
	Config
	router  *mux.Router
	schemas huma.Registry // of every JSON form
	spec    []byte        // the OpenAPI document
}

// New returns the handler of everything below /api/v1. A request's path begins with that:
// whoever mounts the handler below an issuer with a path strips the issuer's path before.
func New(c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.RequestID == nil {
		c.RequestID = func(context.Context) string { return "" }
	}
	if c.ClientAddress == nil {
		c.ClientAddress = func(*http.Request) string { return "" }
	}
	if c.Propagated == nil {
		c.Propagated = func(context.Context) (bool, error) { return true, nil }
	}
	if c.Unavailable == nil {
		c.Unavailable = func(error) bool { return false }
	}
	a := &api{Config: c, router: mux.NewRouter().SkipClean(true).UseEncodedPath()}
	a.router.NotFoundHandler = http.HandlerFunc(a.notFound)
	a.router.MethodNotAllowedHandler = http.HandlerFunc(a.methodNotAllowed)
	a.router.Path(prefix + "/openapi.json").Methods(http.MethodGet).HandlerFunc(a.openapi)

	document := a.document()
	a.schemas = document.Components.Schemas
	h := humamux.New(a.router, document)
	h.UseMiddleware(a.guard)
	for _, r := range a.routes() {
		r.open(h, r.operation())
	}
	a.spec = finish(document.OpenAPI)
	return a
}

// ServeHTTP answers one request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Answers hold people's data and, at times, the only copy of a secret.
	w.Header()["Cache-Control"] = noStore
	if a.quickly(w, r) {
		return
	}
	if err := a.Guard.CheckURL(r, r.URL); err != nil {
		a.write(w, r, a.refusal(w, r, bearer.Rule{}, err))
		return
	}
	if problem := checkTarget(r); problem != nil {
		a.write(w, r, problem)
		return
	}
	if r.Method == http.MethodHead {
		// RFC 9110 §9.3.2: identical to GET, without the content, which net/http leaves out.
		get := *r
		get.Method = http.MethodGet
		get.Header = r.Header.Clone()
		get.Header.Del("Accept") // a stream that shows nothing would never end
		r = &get
	}
	a.router.ServeHTTP(w, r)
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	a.write(w, r, refuse(notFound, "There is nothing at this address. The operations are listed at %s/openapi.json.", prefix))
}

func (a *api) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		try := r.Clone(r.Context())
		try.Method = method
		var match mux.RouteMatch
		if a.router.Match(try, &match) && match.MatchErr == nil {
			allowed = append(allowed, method)
		}
	}
	// RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field".
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	a.write(w, r, refuse(methodNotAllowed, "This address takes %s.", strings.Join(allowed, ", ")))
}

// openapi is the description of the API. It is the same for everybody and needs no key.
func (a *api) openapi(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(a.spec) // nobody is left to tell
}

// document is the OpenAPI document before its operations are added.
func (a *api) document() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Mintmark admin API",
				Version:     a.Version,
				Description: "Looks after people, applications, upstream providers, signing keys, sessions and consents. Every refusal is a problem document (RFC 9457) with a stable code. A list is read page by page: pass the next of one answer as the after of the next request, until there is none.",
			},
			Servers: []*huma.Server{{URL: a.Issuer}},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"apiKey": {Type: "apiKey", In: "header", Name: "Authorization", Description: "Authorization: ApiKey mm_ok_…"},
					"bearer": {Type: "http", Scheme: "bearer", Description: "Authorization: Bearer mm_ok_…, the same key for tools that know no other scheme"},
				},
			},
		},
		// The formats that are read and written. "json" is whatever ends with +json.
		Formats:                      map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{a.rewrite},
	}
}

// finish encodes the document.
func finish(document *huma.OpenAPI) []byte {
	schemas := document.Components.Schemas.Map()
	// The error model of the library, which we don't send.
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	// Who reads our answers must not stumble over what a later version adds to them.
	sent := map[string]bool{}
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Post, path.Put, path.Patch} {
			if op != nil && op.RequestBody != nil {
				sent[strings.TrimPrefix(op.RequestBody.Content["application/json"].Schema.Ref, "#/components/schemas/")] = true
			}
		}
	}
	for name, schema := range schemas {
		if !sent[name] {
			schema.AdditionalProperties = nil
		}
	}
	spec, err := json.Marshal(document)
	if err != nil {
		panic("admin: the OpenAPI document can't be encoded: " + err.Error()) // at the start only
	}
	return spec
}
