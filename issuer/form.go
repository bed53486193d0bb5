package issuer

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	maxBody       = 64 << 10 // bytes of a form
	maxParameters = 100
	formType      = "application/x-www-form-urlencoded"
)

// A form is the parameters of a request, checked: at most [maxParameters] of them, each
// valid UTF-8 without NUL. It is a list and not a map, because it is short and because the
// token endpoint reads one for every token. It is not changed after it was parsed.
type form struct {
	pairs []pair
	// repeated is the name of a parameter that may come once and came more than once, or empty.
	repeated string
}

type pair struct{ name, value string }

// get returns the value of a parameter, or "" if it is missing or empty. RFC 6749 §3.1:
// "Parameters sent without a value MUST be treated as if they were omitted from the request."
func (f form) get(name string) string {
	for i := range f.pairs {
		if f.pairs[i].name == name {
			return f.pairs[i].value
		}
	}
	return ""
}

// has says whether a parameter is there and not empty.
func (f form) has(name string) bool { return f.get(name) != "" }

// all returns the values of a parameter that may be repeated, without empty ones.
func (f form) all(name string) []string {
	var values []string
	for i := range f.pairs {
		if f.pairs[i].name == name && f.pairs[i].value != "" {
			values = append(values, f.pairs[i].value)
		}
	}
	return values
}

// parseForm reads the parameters of a request: the query of a GET, the urlencoded body of a
// POST (its query is not looked at). A repeated parameter is refused.
func parseForm(r *http.Request) (form, error) {
	f, err := decodeForm(r)
	if err != nil {
		return form{}, err
	}
	if f.repeated != "" {
		return form{}, refuseRepeated(f.repeated)
	}
	return f, nil
}

// refuseRepeated refuses a parameter that came twice. The name came from outside, so it is
// only repeated back if it looks like a parameter of ours.
func refuseRepeated(name string) *Error {
	if len(name) > 40 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return refuse("invalid_request", "A parameter is repeated.")
	}
	return refuse("invalid_request", "The parameter %s is repeated.", name)
}

// decodeForm is [parseForm], but leaves it to the caller to refuse a repeated parameter.
func decodeForm(r *http.Request) (form, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return decodePairs(r.URL.RawQuery)
	case http.MethodPost:
		body, err := readBody(r)
		if err != nil {
			return form{}, err
		}
		return decodePairs(body)
	}
	return form{}, refuse("invalid_request", "The method must be GET or POST.")
}

// readBody returns a body that is a form. A POST without any body is an empty form, whatever
// its type: that is how a userinfo request with a header comes.
func readBody(r *http.Request) (string, error) {
	if r.Body == nil || r.ContentLength == 0 {
		return "", nil
	}
	if r.ContentLength > maxBody {
		return "", refuse("invalid_request", "The body is larger than 64 KiB.")
	}
	if t := r.Header.Get("Content-Type"); t != formType {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != formType {
			return "", refuse("invalid_request", "The body must be %s.", formType)
		}
	}
	var body []byte
	var err error
	if r.ContentLength > 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge || len(body) > maxBody:
		return "", refuse("invalid_request", "The body is larger than 64 KiB.")
	case err != nil:
		return "", refuse("invalid_request", "The body ended too early.").because(err)
	}
	return string(body), nil
}

func decodePairs(s string) (form, error) {
	if len(s) > maxBody {
		return form{}, refuse("invalid_request", "The request is larger than 64 KiB.")
	}
	n := strings.Count(s, "&") + 1
	if n > maxParameters {
		return form{}, refuse("invalid_request", "There are more than %d parameters.", maxParameters)
	}
	f := form{pairs: make([]pair, 0, n)}
	for s != "" {
		var part string
		part, s, _ = strings.Cut(s, "&")
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := unescape(name)
		if err != nil {
			return form{}, err
		}
		value, err = unescape(value)
		if err != nil {
			return form{}, err
		}
		if name == "" { // nobody's parameter, and it could not be told that it is repeated
			return form{}, refuse("invalid_request", "A parameter has no name.")
		}
		// RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than
		// once." RFC 8707 §2 makes an exception for resource, RFC 8693 §2.1 for audience.
		if f.repeated == "" && name != "resource" && name != "audience" {
			for i := range f.pairs {
				if f.pairs[i].name == name {
					f.repeated = name
				}
			}
		}
		f.pairs = append(f.pairs, pair{name, value})
	}
	return f, nil
}

// unescape decodes one name or value, without an allocation if there is nothing to decode.
func unescape(s string) (string, error) {
	if strings.ContainsAny(s, "%+") {
		decoded, err := url.QueryUnescape(s)
		if err != nil {
			return "", refuse("invalid_request", "A parameter is not percent-encoded correctly.")
		}
		s = decoded
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "", refuse("invalid_request", "A parameter holds a NUL or is not UTF-8.")
	}
	return s, nil
}
