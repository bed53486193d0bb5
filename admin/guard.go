package admin

import (
	"errors"
	"net/http"
	"strings"
	"time"

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
	caller, err := a.caller(r)
	if err != nil {
		a.write(w, r, a.problem(r.Context(), err, "key"))
		return
	}
	scope, ok := ctx.Operation().Metadata[scopeOf].(string)
	if !ok || scope != "" && !caller.May(scope) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mintmark", error="insufficient_scope", scope="`+scope+`"`)
		a.write(w, r, refuse(insufficientScope, "The API key %s lacks the scope %s.", caller.Credential, scope))
		return
	}
	unescapePath(r)
	next(huma.WithContext(ctx, bearer.NewContext(r.Context(), caller)))
	if r.Method != http.MethodGet && ctx.Status() < 400 {
		a.Log.InfoContext(r.Context(), "changed by the admin API", "operation", ctx.Operation().OperationID,
			"path", r.URL.Path, "key", caller.Credential, "request_id", a.RequestID(r.Context()))
	}
}

// caller says whose request it is. Whatever is wrong with a key, the refusal is the same.
func (a *api) caller(r *http.Request) (bearer.Principal, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return bearer.Principal{}, refuse(unauthenticated, "Send an API key: Authorization: ApiKey mm_ok_….")
	}
	if len(headers) > 1 {
		return bearer.Principal{}, refuse(unauthenticated, "There is more than one Authorization header.")
	}
	scheme, key, _ := strings.Cut(headers[0], " ")
	// RFC 9110 §11.1: the scheme is case-insensitive.
	if !strings.EqualFold(scheme, "ApiKey") && !strings.EqualFold(scheme, "Bearer") {
		return bearer.Principal{}, refuse(unauthenticated, "The Authorization header must be of the form: ApiKey mm_ok_….")
	}
	caller, err := a.APIKeys.Verify(r.Context(), strings.TrimLeft(key, " "), time.Now())
	if errors.Is(err, apikeys.ErrInvalid) {
		return bearer.Principal{}, refuse(unauthenticated, "The API key is not valid.").because(err)
	}
	return caller, err
}
