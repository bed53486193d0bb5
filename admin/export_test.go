package admin

import "reflect"

// A Route is a row of the table, for tests.
type Route struct{ Method, Path, Scope, About string }

// Routes is the table.
func Routes() (all []Route) {
	for _, r := range new(api).routes() {
		all = append(all, Route{r.method, prefix + r.path, r.scope, r.about})
	}
	return all
}

// Codes returns the code of every kind of refusal.
func Codes() (codes []string) {
	for _, k := range []kind{badRequest, unauthenticated, insufficientScope, notFound, methodNotAllowed, timeout, exists,
		conflict, lastAdmin, lastWay, managed, changed, tooLarge, unsupported, invalid, rateLimited, internal, busy, unavailable} {
		codes = append(codes, k.code)
	}
	return codes
}

// Members returns the JSON names of a struct's fields, those of embedded structs included.
func Members(t reflect.Type) []string { return jsonNames(t) }
