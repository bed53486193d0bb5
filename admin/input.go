package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"mintmark/internal/nearest"
)

// MaxBody is how large a request's body may be, in bytes.
const MaxBody = 256 << 10

const maxDepth = 32

// checkTarget refuses an address that no operation could mean: one that is not UTF-8, holds
// a NUL or repeats a parameter.
func checkTarget(r *http.Request) *Problem {
	if !clean(r.URL.Path) || len(r.URL.Path) > 2000 {
		return refuse(badRequest, "The address is too long, or not UTF-8.")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(badRequest, "The query is not percent-encoded correctly.")
	}
	for name, values := range query {
		switch {
		case !clean(name) || !clean(values[0]):
			return refuse(badRequest, "The query holds a NUL or is not UTF-8.")
		case len(values) > 1:
			return refuse(badRequest, "A parameter of the query is repeated.").field("query", name, "is repeated")
		}
	}
	return nil
}

func clean(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// unescapePath decodes the parts of the path that name something. The router matches the
// encoded path, so that a client's id may hold a slash.
func unescapePath(r *http.Request) {
	vars := mux.Vars(r)
	for name, value := range vars {
		if decoded, err := url.PathUnescape(value); err == nil {
			vars[name] = decoded
		}
	}
}

// unmarshal reads a body. It refuses what encoding/json lets pass and a database or the next
// reader would stumble over: text that is not UTF-8, NULs, members that are repeated.
func unmarshal(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("is not UTF-8")
	}
	if err := strict(data); err != nil {
		return err
	}
	if err := exact(data, reflect.TypeOf(v)); err != nil {
		return err
	}
	err := json.Unmarshal(data, v)
	// What encoding/json says names our types, which are nobody's business.
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("has a value of the wrong type at %s: a %s", cmp.Or(wrong.Field, "its top"), wrong.Value)
	}
	return err
}

// exact refuses a member whose name is known in another spelling only: encoding/json takes
// "Email" for "email", and of two spellings the last.
func exact(data []byte, form reflect.Type) error {
	for form.Kind() == reflect.Pointer {
		form = form.Elem()
	}
	var members map[string]json.RawMessage
	if form.Kind() != reflect.Struct || json.Unmarshal(data, &members) != nil {
		return nil
	}
	known := jsonNames(form)
	for name := range members {
		if !slices.Contains(known, name) {
			hint := ""
			if near := nearest.Name(name, known, len(name)/2); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return errors.New("has a member that is not known: " + nearest.Shorten(name) + hint)
		}
	}
	return nil
}

// jsonNames returns the names of a struct's members, with those of structs that are embedded.
func jsonNames(form reflect.Type) (names []string) {
	for i := range form.NumField() {
		f := form.Field(i)
		if f.Anonymous {
			names = append(names, jsonNames(f.Type)...)
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// strict walks through a document once. What is not JSON is left for the decoder to say.
func strict(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	// For each open object or array: the names that were seen, or nil for an array.
	var open []map[string]bool
	name := false // a name comes next
	for {
		token, err := d.Token()
		if err != nil {
			return nil
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			if len(open) > maxDepth {
				return errors.New("is nested too deeply")
			}
		case string:
			if strings.IndexByte(t, 0) >= 0 {
				return errors.New("holds a NUL")
			}
			if name {
				seen := open[len(open)-1]
				if seen[t] {
					return errors.New("repeats a member: " + nearest.Shorten(t))
				}
				seen[t] = true
				name = false
				continue // its value follows
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}
