package admin

import "reflect"

// A Route is a row of the table, for tests.
type Route struct{ Method, Path, Scope string }

// Routes is the table.
func Routes() (all []Route) {
	for _, r := range new(api).routes() {
		all = append(all, Route{r.method, prefix + r.path, r.scope})
	}
	return all
}

// Members returns the JSON names of a struct's fields, those of embedded structs included.
func Members(t reflect.Type) []string { return jsonNames(t) }
