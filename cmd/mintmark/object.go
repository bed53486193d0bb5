package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// An object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

func (o object) value(name string) json.RawMessage {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// variables returns the members that are single values, under names for a shell.
func (o object) variables(prefix string) []variable {
	var lines []variable
	for _, m := range o {
		if len(m.value) > 0 && (m.value[0] == '{' || m.value[0] == '[') {
			continue
		}
		name := strings.Map(func(r rune) rune {
			if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
				return unicode.ToUpper(r)
			}
			return '_'
		}, prefix+m.name)
		lines = append(lines, variable{name, plain(m.value)})
	}
	return lines
}

func parseObject(raw json.RawMessage) (object, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	open, err := d.Token()
	if err != nil {
		return nil, err
	}
	if open != json.Delim('{') {
		return nil, fmt.Errorf("it begins with %v", open)
	}
	var o object
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: name.(string)}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		o = append(o, m)
	}
	_, err = d.Token()
	return o, err
}

// plain shows a value to people: a list as its elements, an object as JSON, nothing as "".
func plain(raw json.RawMessage) string {
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return printable(s)
		}
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) == nil {
			var cells []string
			for _, v := range list {
				cells = append(cells, plain(v))
			}
			return strings.Join(cells, " ")
		}
	case 't':
		return "yes"
	case 'f':
		return "no"
	}
	return printable(string(raw))
}

// printable replaces what a terminal might obey: names and user agents come from strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, s)
}

func rawBytes(items []json.RawMessage) [][]byte {
	var all [][]byte
	for _, item := range items {
		all = append(all, item)
	}
	return all
}
