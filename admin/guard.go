package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
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
	scope, ok := ctx.Operation().Metadata[scopeOf].(string)
	found, err := a.caller(r)
	if found.Policy != "" {
		w.Header().Set("RateLimit-Policy", found.Policy)
		w.Header().Set("RateLimit", found.Left.Header())
	}
	if many, limited := isLimited(err); limited {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds(many.RetryAfter), 10))
		a.write(w, r, refuse(rateLimited, "The API key is over its limit %s.", many.Limit))
		return
	}
	if denied, refused := errors.AsType[*apikeys.Denied](err); refused {
		a.write(w, r, refuse(kind{http.StatusForbidden, denied.Code}, "The API key may not be used from here."))
		return
	}
	if err != nil {
		a.write(w, r, a.problem(r.Context(), err, "key"))
		return
	}
	caller := found.Principal
	// A key of a person or a service may have a scope that is called like one of ours.
	if !ok || scope != "" && (!caller.May(scope) || !ownKey(found, scope)) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mintmark", error="insufficient_scope", scope="`+scope+`"`)
		a.write(w, r, refuse(insufficientScope, "The API key %s lacks the scope %s.", caller.Credential, scope))
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

// caller says whose request it is. Whatever is wrong with a key, the refusal is the same.
func (a *api) caller(r *http.Request) (apikeys.Answer, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return apikeys.Answer{}, refuse(unauthenticated, "Send an API key: Authorization: ApiKey mm_ok_….")
	}
	if len(headers) > 1 {
		// RFC 9110 §5.3: a field that is not a list is not sent more than once. Which of them counts
		// would be a guess, and those before us may guess otherwise.
		return apikeys.Answer{}, refuse(badRequest, "There is more than one Authorization header.")
	}
	scheme, key, _ := strings.Cut(headers[0], " ")
	// RFC 9110 §11.1: the scheme is case-insensitive.
	if !strings.EqualFold(scheme, "ApiKey") && !strings.EqualFold(scheme, "Bearer") {
		return apikeys.Answer{}, refuse(unauthenticated, "The Authorization header must be of the form: ApiKey mm_ok_….")
	}
	from, _ := netip.ParseAddr(a.ClientAddress(r))
	found, err := a.APIKeys.Check(r.Context(), apikeys.Ask{Key: strings.TrimLeft(key, " "), Address: from}, time.Now())
	if errors.Is(err, apikeys.ErrInvalid) {
		return apikeys.Answer{}, refuse(unauthenticated, "The API key is not valid.").because(err)
	}
	return found, err
}
