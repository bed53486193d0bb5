package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"mintmark/apikeys"
	"mintmark/bearer"
)

// scopeOf is the name under which an operation carries the scope that it needs. An operation
// without that entry lets nobody in.
const scopeOf = "scope"

// guard lets a request pass to its operation if it shows a good key with the operation's
// scope. It runs before anything of the request is decoded.
func (a *api) guard(ctx huma.Context, next func(huma.Context)) {
	r, w := humamux.Unwrap(ctx)
	scope, ok := ctx.Operation().Metadata[scopeOf].(string)
	caller, problem := bearer.Principal{}, (*Problem)(nil)
	switch {
	case scope == apikeys.ScopeOwn:
		caller, problem = a.person(w, r, scope)
	case scope == apikeys.ScopeLeak && a.Reporters.Signed(r.Header):
		if caller, problem = a.reporter(r); r.Header["Authorization"] != nil || r.Header["X-Api-Key"] != nil {
			problem = refuse(badRequest, "The request is signed and has a credential. Send one of them.")
		}
	default:
		caller, problem = a.caller(w, r, scope, ok)
	}
	if problem != nil {
		a.write(w, r, problem)
		return
	}
	unescapePath(r)
	within := context.WithValue(bearer.NewContext(r.Context(), caller), addressKey{}, a.ClientAddress(r))
	next(huma.WithContext(ctx, within))
	if strings.HasSuffix(scope, ":write") && ctx.Status() < 400 {
		a.Log.InfoContext(r.Context(), "changed by the admin API", "operation", ctx.Operation().OperationID,
			"path", r.URL.Path, "key", caller.Credential, "request_id", a.RequestID(r.Context()))
	}
}

// addressKey is where the client's address is in a context.
type addressKey struct{}

// caller says whose request it is, if they may do what needs the scope. known is false for an
// operation that says nothing of a scope.
func (a *api) caller(w http.ResponseWriter, r *http.Request, scope string, known bool) (bearer.Principal, *Problem) {
	var rule bearer.Rule
	if scope != "" {
		rule.All = []string{scope}
	}
	p, err := a.Guard.Identify(r, rule)
	p.Limits.Set(w.Header())
	// A key of a person or a service may have a scope that is called like one of ours.
	if err == nil && (!known || scope != "" && !ownKey(p, scope)) {
		err = bearer.ErrScope
	}
	if err != nil {
		return bearer.Principal{}, a.refusal(w, r, rule, err)
	}
	return p, nil
}

// ownKey says whether a key may have a scope of ours: a key of the instance, and one of a
// service that only asks about other keys, reports them, or hears what is revoked.
func ownKey(p bearer.Principal, scope string) bool {
	owner := apikeys.OwnerType(p)
	return owner == apikeys.OwnerInstance || owner == apikeys.OwnerService && apikeys.ForServices(scope)
}

// words is what we say of the refusals of a guard, where the words for every service don't do.
var words = map[string]struct {
	kind   kind
	detail string
}{
	bearer.ErrMissing.Code:   {unauthenticated, "Send an API key: Authorization: ApiKey mm_ok_…."},
	bearer.ErrInvalid.Code:   {unauthenticated, "The API key is not valid."},
	bearer.ErrRepeated.Code:  {badRequest, "The request has more than one credential. Send exactly one."},
	bearer.ErrInURL.Code:     {badRequest, "There is a credential in the address, where every log keeps it. Send it in the Authorization header. If it was a good API key, it is revoked now: make another."},
	bearer.ErrClearText.Code: {kind{http.StatusForbidden, bearer.ErrClearText.Code}, "The API key came over HTTP without TLS, where others can read it: replace it, and use HTTPS. If a proxy in front has TLS, name it in trusted_proxies and have it send X-Forwarded-Proto."},
}

// refusal sets the challenges of a guard's refusal, and returns it as a problem.
func (a *api) refusal(w http.ResponseWriter, r *http.Request, rule bearer.Rule, err error) *Problem {
	if errors.Is(err, bearer.ErrUnavailable) {
		return a.problem(r.Context(), err, "key") // it knows which trouble it is
	}
	if errors.Is(err, bearer.ErrScope) && len(rule.All) > 0 {
		missing := *bearer.ErrScope
		missing.Scopes, missing.Detail = rule.All, "The API key lacks the scope "+strings.Join(rule.All, " ")+"."
		err = &missing
	}
	e := a.Guard.Challenge(w.Header(), rule, err)
	if e.Status == http.StatusInternalServerError {
		return a.problem(r.Context(), err, "key")
	}
	if say, ok := words[e.Code]; ok {
		return refuse(say.kind, "%s", say.detail).because(err)
	}
	return refuse(kind{e.Status, e.Code}, "%s", e.Detail).because(err)
}
