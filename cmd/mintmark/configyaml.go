package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseYAML flattens a file to assignments. It is strict: a key that is not in the table is an
// error that names the line and the nearest key that is.
func parseYAML(name string, source []byte) ([]assignment, error) {
	file, err := parser.ParseBytes(source, 0)
	if err != nil {
		// Without the lines of the file that it would show: there may be a secret in them.
		return nil, fmt.Errorf("%s is not YAML: %s", name, yaml.FormatError(err, false, false))
	}
	y := &flattener{name: name}
	for i, doc := range file.Docs {
		if i > 0 && doc.Body != nil {
			y.wrong = errors.Join(y.wrong, fmt.Errorf("%s: one document is enough: there is a second after ---", name))
			break
		}
		if doc.Body != nil {
			y.section("", doc.Body)
		}
	}
	return y.all, y.wrong
}

// A flattener turns a tree of sections into assignments.
type flattener struct {
	name  string
	all   []assignment
	wrong error
}

func (y *flattener) fail(node ast.Node, format string, args ...any) {
	at := fmt.Sprintf("%s:%d: ", y.name, node.GetToken().Position.Line)
	y.wrong = errors.Join(y.wrong, fmt.Errorf(at+format, args...))
}

func (y *flattener) section(path string, node ast.Node) {
	mapping, ok := node.(*ast.MappingNode)
	switch {
	case node.Type() == ast.CommentType || node.Type() == ast.NullType:
		return
	case !ok && path == "":
		y.fail(node, "a configuration is a list of keys and values, such as issuer: https://id.example.com")
		return
	case !ok:
		y.fail(node, "%s is a section: it has keys of its own below it", path)
		return
	}
	for _, entry := range mapping.Values {
		inner := entry.Key.GetToken().Value
		if path != "" {
			inner = path + "." + inner
		}
		i := slices.IndexFunc(allKeys(), func(k key) bool { return k.path == inner })
		switch {
		case i >= 0:
			y.value(allKeys()[i], entry)
		case slices.ContainsFunc(allKeys(), func(k key) bool { return strings.HasPrefix(k.path, inner+".") }):
			y.section(inner, entry.Value)
		default:
			y.unknown(inner, entry)
		}
	}
}

func (y *flattener) unknown(path string, entry *ast.MappingValueNode) {
	if inner, ok := entry.Value.(*ast.MappingNode); ok {
		for _, e := range inner.Values {
			y.unknown(path+"."+e.Key.GetToken().Value, e)
		}
		return
	}
	y.fail(entry.Key, "there is no key %q%s", path, hint(path, allPaths()))
}

func (y *flattener) value(k key, entry *ast.MappingValueNode) {
	from := fmt.Sprintf("%s:%d", y.name, entry.Key.GetToken().Position.Line)
	var values []string
	items := []ast.Node{entry.Value}
	if sequence, ok := entry.Value.(*ast.SequenceNode); ok && k.list {
		items = sequence.Values
	}
	for _, item := range items {
		switch n := item.(type) {
		case *ast.NullNode:
		case *ast.StringNode:
			values = append(values, n.Value)
		case *ast.LiteralNode:
			values = append(values, strings.TrimSpace(n.Value.Value))
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			values = append(values, n.GetToken().Value)
		default:
			y.fail(entry.Key, "%s takes a single value", k.path)
			return
		}
	}
	y.all = append(y.all, assignment{k.path, strings.Join(values, ","), from})
}
