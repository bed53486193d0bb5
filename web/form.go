package web

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"mintmark/issuer"
)

// maxForm bounds what a page reads, in bytes. A sealed request is most of it.
const maxForm = 64 << 10

// readForm returns what the browser sent: the query of a GET, the form of a POST. A name that
// is there twice is refused, and so is what is not text.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	form, err := decodeForm(w, r)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, err
		}
		return nil, refuse("This is not a form that a page of ours sends.")
	}
	if len(form) > 50 {
		return nil, refuse("There are too many parameters.")
	}
	for name, values := range form {
		for _, value := range append(values, name) {
			if !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
				return nil, refuse("A parameter is not text.")
			}
		}
		if len(values) > 1 {
			return nil, refuse("A parameter is repeated.")
		}
	}
	return form, nil
}

func decodeForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return url.ParseQuery(r.URL.RawQuery)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errors.New("another type of content")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

// refuse is a refusal for a person, on an error page.
func refuse(why string) error {
	return &issuer.Error{Code: "invalid_request", Description: why}
}
