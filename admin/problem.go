package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"mintmark/accounts"
	"mintmark/apikeys"
	"mintmark/internal/nearest"
	"mintmark/internal/secret"
	"mintmark/issuer"
	"mintmark/keys"
	"mintmark/upstream"
)

// A kind is one kind of refusal. Its code is a promise to programs.
type kind struct {
	status int
	code   string
}

// Every kind of refusal there is.
var (
	badRequest        = kind{http.StatusBadRequest, "bad_request"}
	unauthenticated   = kind{http.StatusUnauthorized, "unauthenticated"}
	insufficientScope = kind{http.StatusForbidden, "insufficient_scope"}
	gone              = kind{http.StatusGone, "gone"}
	notFound          = kind{http.StatusNotFound, "not_found"}
	methodNotAllowed  = kind{http.StatusMethodNotAllowed, "method_not_allowed"}
	notYours          = kind{http.StatusForbidden, "exceeds_own_key"}
	tooManyKeys       = kind{http.StatusConflict, "too_many_keys"}
	timeout           = kind{http.StatusRequestTimeout, "request_timeout"}
	exists            = kind{http.StatusConflict, "exists"}
	conflict          = kind{http.StatusConflict, "conflict"}
	lastAdmin         = kind{http.StatusConflict, "last_admin"}
	lastWay           = kind{http.StatusConflict, "last_way"}
	managed           = kind{http.StatusConflict, "managed"}
	changed           = kind{http.StatusPreconditionFailed, "changed"}
	tooLarge          = kind{http.StatusRequestEntityTooLarge, "too_large"}
	unsupported       = kind{http.StatusUnsupportedMediaType, "unsupported_media_type"}
	invalid           = kind{http.StatusUnprocessableEntity, "invalid"}
	rateLimited       = kind{http.StatusTooManyRequests, "rate_limited"}
	internal          = kind{http.StatusInternalServerError, "internal"}
	busy              = kind{http.StatusServiceUnavailable, "busy"}
	unavailable       = kind{http.StatusServiceUnavailable, "unavailable"}
)

// byStatus is what the library and the server around us refuse by themselves.
var byStatus = map[int]kind{
	400: badRequest, 404: notFound, 405: methodNotAllowed, 408: timeout, 413: tooLarge, 415: unsupported,
	422: invalid, 500: internal, 503: unavailable,
}

// A Problem is a refusal, RFC 9457. It tells what to do about it, and nothing of the inside.
type Problem struct {
	Type      string         `json:"type" doc:"Always about:blank: the code says what kind of problem it is" example:"about:blank"`
	Title     string         `json:"title" doc:"The words of the HTTP status" example:"Not Found"`
	Status    int            `json:"status" doc:"The HTTP status" example:"404"`
	Detail    string         `json:"detail,omitempty" doc:"What is wrong, for people"`
	Code      string         `json:"code" doc:"What is wrong, for programs. It does not change" example:"not_found"`
	RequestID string         `json:"request_id,omitempty" doc:"The id of the request, which the server's log carries too"`
	Errors    []FieldProblem `json:"errors,omitempty" nullable:"false" doc:"What is wrong with which part of the request"`

	cause error
}

// A FieldProblem is what is wrong with one part of a request. It never repeats the value.
type FieldProblem struct {
	In     string `json:"in" doc:"Which part of the request" enum:"body,query,path"`
	Field  string `json:"field,omitempty" doc:"The member or parameter, with dots between the levels" example:"claims.birthdate"`
	Detail string `json:"detail" doc:"What is wrong with it: a sentence without its subject" example:"is longer than 254 bytes"`
}

func refuse(k kind, detail string, args ...any) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(k.status), Status: k.status,
		Detail: fmt.Sprintf(detail, args...), Code: k.code,
	}
}

// because adds the cause, for the log.
func (p *Problem) because(err error) *Problem {
	p.cause = err
	return p
}

// field adds what is wrong with one part of the request.
func (p *Problem) field(in, name, detail string) *Problem {
	p.Errors = append(p.Errors, FieldProblem{in, name, detail})
	return p
}

// Refuse returns the problem of a status for whoever stands before the API and refuses a
// request in its name: with the code that the API itself would use.
func Refuse(status int, detail, requestID string) *Problem {
	k, ok := byStatus[status]
	if !ok {
		k = kind{status, internal.code}
	}
	p := refuse(k, "%s", detail)
	p.RequestID = requestID
	return p
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns what the answer needs besides its body.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusUnauthorized:
		// RFC 9110 §15.5.2: "MUST send a WWW-Authenticate header field".
		h.Add("WWW-Authenticate", `Bearer realm="mintmark"`)
		h.Add("WWW-Authenticate", `ApiKey realm="mintmark"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "2")
	}
	return h
}

// ContentType says that a problem is not what was asked for. RFC 9457 §3.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// problem makes of any error the refusal that the caller gets. What is not known here is a
// fault of ours: the caller learns that it happened, the log learns what. resource is the first
// part of the path.
func (a *api) problem(ctx context.Context, err error, resource string) *Problem {
	p := known(err, strings.ReplaceAll(strings.TrimSuffix(resource, "s"), "-", " "))
	if p == nil && a.Unavailable(err) {
		a.Log.WarnContext(ctx, "the admin API can't reach the database", "err", err, "request_id", a.RequestID(ctx))
		p = refuse(unavailable, "The database can't be reached. Try again in a moment; look whether the change was made before you make it again.")
	}
	if p == nil {
		a.Log.ErrorContext(ctx, "the admin API failed", "err", err, "request_id", a.RequestID(ctx))
		p = refuse(internal, "Something went wrong on our side. The log has it under the id of this request.")
	}
	p.RequestID = a.RequestID(ctx)
	return p
}

// known returns the refusal for an error of the parts, or nil. thing is what was looked for.
func known(err error, thing string) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if e, ok := errors.AsType[*accounts.Invalid](err); ok {
		return wrong(e.Field, e.Problem)
	}
	if e, ok := errors.AsType[*issuer.Invalid](err); ok {
		return wrong(e.Field, e.Problem)
	}
	if e, ok := errors.AsType[*apikeys.Invalid](err); ok {
		return wrong(e.Field, e.Problem)
	}
	if e, ok := errors.AsType[*upstream.Invalid](err); ok {
		return wrong(e.Field, e.Problem)
	}
	if e, ok := errors.AsType[*apikeys.NotYours](err); ok {
		return exceeds(e)
	}
	switch {
	case errors.Is(err, accounts.ErrNotFound), errors.Is(err, issuer.ErrNotFound), errors.Is(err, keys.ErrNotFound), errors.Is(err, apikeys.ErrNotFound),
		errors.Is(err, upstream.ErrNotFound):
		return refuse(notFound, "There is no such %s.", thing).because(err)
	case errors.Is(err, accounts.ErrExists):
		return refuse(exists, "Somebody has this e-mail address already.").field("body", "email", "is taken").because(err)
	case errors.Is(err, accounts.ErrLastAdmin):
		return refuse(lastAdmin, "This is the last administrator that is enabled. Make somebody else one first.").because(err)
	case errors.Is(err, accounts.ErrLastWay):
		return refuse(lastWay, "It is the last way in that this person has. Give them a password first.").because(err)
	case errors.Is(err, upstream.ErrExists):
		return refuse(exists, "There is a provider with this name already.").field("body", "name", "is taken").because(err)
	case errors.Is(err, accounts.ErrChanged):
		return refuse(changed, "It was changed while your change was on its way. Read it again.").because(err)
	case errors.Is(err, issuer.ErrExists):
		return refuse(exists, "There is a client with this id already.").field("body", "client_id", "is taken").because(err)
	case errors.Is(err, keys.ErrConflict):
		return refuse(conflict, "The keys are being rotated right now. Look at the list, and try again if need be.").because(err)
	case errors.Is(err, apikeys.ErrConflict):
		return refuse(conflict, "The key is revoked or replaced, or somebody else changed it at the same moment. Look at it before you try again.").because(err)
	case errors.Is(err, apikeys.ErrFull):
		return refuse(tooManyKeys, "The owner has as many keys as the operator allows (keys.max_per_owner). Revoke some; those that were made today count until tomorrow.").because(err)
	case errors.Is(err, apikeys.ErrExists):
		return refuse(exists, "There is one like that already.").because(err)
	case errors.Is(err, apikeys.ErrBusy):
		return refuse(busy, "Too many keys are being looked up. Try again in a moment.").because(err)
	case errors.Is(err, secret.ErrBusy):
		return refuse(busy, "Too many passwords are being hashed. Try again in a moment.").because(err)
	case errors.Is(err, keys.ErrStale):
		return refuse(unavailable, "The database can't be reached. Try again in a moment.").because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refuse(unavailable, "The request took too long. Look whether it was done before you try again.").because(err)
	}
	return nil
}

// exceeds is the refusal of a key that does to another what it may not.
func exceeds(e *apikeys.NotYours) *Problem {
	switch e.Right {
	case "scopes":
		return refuse(insufficientScope, "Your key lacks the scope %.60q, so it can't give it to another, or end one that has it.", e.What).because(e)
	case "audience":
		return refuse(notYours, "Your key is not for the resource %.60q, so it can't make another that is.", e.What).because(e)
	case "networks":
		return refuse(notYours, "Your key can't be used from everywhere that the other could be. Give it the same networks, or some of them.").because(e)
	}
	return refuse(notYours, "Your key ends before the other would. Let it expire earlier.").because(e)
}

func wrong(field, problem string) *Problem {
	return refuse(invalid, "%s %s.", field, problem).field("body", field, problem)
}

// write sends a problem where the library does not do it.
func (a *api) write(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.RequestID = a.RequestID(r.Context())
	for name, values := range p.GetHeaders() {
		if w.Header()[name] == nil { // the guard has set its challenges, which say more
			w.Header()[name] = values
		}
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // nobody is left to tell
}

// rewrite makes the library's own refusals ours. They repeat the values that they refuse,
// which may be passwords; ours don't.
func (a *api) rewrite(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	k, ok := byStatus[model.Status]
	if !ok || k.status >= 500 {
		a.Log.ErrorContext(ctx.Context(), "the admin API failed", "err", model, "request_id", a.RequestID(ctx.Context()))
		k = kind{model.Status, internal.code}
	}
	p := refuse(k, "")
	p.RequestID = a.RequestID(ctx.Context())
	for _, e := range model.Errors {
		in, field, _ := strings.Cut(e.Location, ".")
		detail := e.Message
		if detail == "unexpected property" || detail == "unknown query parameter" {
			detail = a.unknownName(ctx.Operation(), in, field)
		}
		p.field(in, nearest.Shorten(field), detail)
	}
	switch {
	case len(p.Errors) > 0:
		p.Detail = strings.TrimPrefix(p.Errors[0].Field+" ", " ") + p.Errors[0].Detail
		if !strings.HasSuffix(p.Detail, "?") {
			p.Detail += "."
		}
	case k == tooLarge:
		p.Detail = fmt.Sprintf("The body is larger than %d KiB.", MaxBody>>10)
	case model.Detail != "":
		p.Detail = strings.ToUpper(model.Detail[:1]) + model.Detail[1:] + "."
	}
	return p, nil
}

// unknownName says which name was probably meant instead of one that an operation does not know.
func (a *api) unknownName(op *huma.Operation, in, field string) string {
	var known []string
	switch {
	case in == "query":
		for _, p := range op.Parameters {
			if p.In == in {
				known = append(known, p.Name)
			}
		}
	case op.RequestBody != nil:
		schema := op.RequestBody.Content["application/json"].Schema
		if schema.Ref != "" {
			schema = a.schemas.SchemaFromRef(schema.Ref)
		}
		known = slices.Sorted(maps.Keys(schema.Properties))
	}
	if near := nearest.Name(field, known, len(field)/2); near != "" {
		return "is not known; did you mean " + near + "?"
	}
	return "is not known"
}
