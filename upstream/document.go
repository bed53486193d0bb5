package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of a JSON document that a provider sends, besides its size.
const (
	maxDepth  = 10
	maxValues = 10_000
)

var errDocument = errors.New("it is not one JSON object of reasonable shape")

// A document is a JSON object that a provider sent. Names are compared with their case, and
// each is there once: what we read is what everybody else reads. RFC 8259 §4, RFC 7519 §4.
type document map[string]any

// parseDocument reads one object.
func parseDocument(text []byte) (document, error) {
	v, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	d, ok := v.(map[string]any)
	if !ok {
		return nil, errDocument
	}
	return d, nil
}

// parseJSON reads one value, in memory that is in proportion to the text.
func parseJSON(text []byte) (any, error) {
	if !utf8.Valid(text) || deeper(text, maxDepth) || !json.Valid(text) {
		return nil, errDocument
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // 64 bits of an id don't fit into a float
	p := parser{dec: dec}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errDocument
	}
	return v, nil
}

// deeper says whether brackets are nested more than most deep, before anything is built.
func deeper(text []byte, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

type parser struct {
	dec    *json.Decoder
	values int
}

func (p *parser) value() (any, error) {
	if p.values++; p.values > maxValues {
		return nil, fmt.Errorf("%w: it has more than %d values", errDocument, maxValues)
	}
	token, err := p.dec.Token()
	if err != nil {
		return nil, errDocument
	}
	switch token {
	case json.Delim('{'):
		return p.object()
	case json.Delim('['):
		return p.list()
	}
	return token, nil
}

func (p *parser) object() (any, error) {
	object := map[string]any{}
	for p.dec.More() {
		token, err := p.dec.Token()
		if err != nil {
			return nil, errDocument
		}
		name, ok := token.(string)
		if !ok {
			return nil, errDocument
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("%w: a member is there twice", errDocument)
		}
		if object[name], err = p.value(); err != nil {
			return nil, err
		}
	}
	_, err := p.dec.Token()
	return object, err
}

func (p *parser) list() (any, error) {
	list := []any{}
	for p.dec.More() {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.dec.Token()
	return list, err
}

// at returns what a path leads to, or nil. The steps have dots between them; a step is the name
// of a member, or the number of an item. A member whose name is all of the rest goes first: it may
// be a URL, with dots of its own; so may a step's, as in kubernetes.io.namespace. Paths with | between are tried in order.
func (d document) at(path string) any {
	for way := range strings.SplitSeq(path, "|") {
		if v := step(map[string]any(d), way); v != nil {
			return v
		}
	}
	return nil
}

func step(v any, path string) any {
	name, rest, more := strings.Cut(path, ".")
	switch v := v.(type) {
	case map[string]any:
		if found, ok := v[path]; ok || !more {
			return found
		}
		for i := range len(path) {
			if path[i] != '.' {
				continue
			}
			if found := step(v[path[:i]], path[i+1:]); found != nil {
				return found
			}
		}
		return nil
	case []any:
		n, err := strconv.ParseUint(name, 10, 16)
		switch {
		case err != nil || n >= uint64(len(v)):
			return nil
		case !more:
			return v[n]
		}
		return step(v[n], rest)
	}
	return nil
}

// text returns a string, or "" if there is none.
func (d document) text(path string) string {
	s, _ := d.at(path).(string)
	return s
}

// texts returns a list of strings, or one string as a list. It is false if it is something else.
func (d document) texts(path string) (list []string, ok bool) {
	switch v := d.at(path).(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, true
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	}
	return nil, false
}

// moment returns a NumericDate, RFC 7519 §2, between 1970 and the year 9999: ok is false if there
// is something else, and the time is zero if there is nothing.
func (d document) moment(path string) (t time.Time, ok bool) {
	v := d.at(path)
	if v == nil {
		_, there := d[path]
		return time.Time{}, !there // null is something else
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}
