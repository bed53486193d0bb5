package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// A printer shows answers on stdout. As JSON that is one object or one array and nothing else.
type printer struct {
	form  string // table, json or env
	quiet bool   // only ids
	out   io.Writer
	err   io.Writer
}

func (a *access) printer(c *cobra.Command) (*printer, error) {
	if !slices.Contains([]string{"table", "json", "env"}, a.output) {
		return nil, usageError("--output is table, json or env")
	}
	return &printer{a.output, a.quiet, c.OutOrStdout(), c.ErrOrStderr()}, nil
}

// A column is one column of a table: a title, and the member that it shows.
type column struct{ title, member string }

// object shows one object. id is the member that --quiet prints.
func (p *printer) object(answer json.RawMessage, id string) error {
	members, err := parseObject(answer)
	switch {
	case err != nil:
		return fmt.Errorf("the server's answer is not an object: %w", err)
	case p.quiet:
		return p.line(plain(members.value(id)))
	case p.form == "json":
		return p.json(answer)
	case p.form == "env":
		return p.env(members.variables(""))
	}
	t := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	for _, m := range members {
		if value := plain(m.value); value != "" {
			fmt.Fprintf(t, "%s\t%s\n", printable(m.name), value)
		}
	}
	return t.Flush()
}

// list shows many objects.
func (p *printer) list(items []json.RawMessage, id string, columns ...column) error {
	if p.form == "env" && !p.quiet {
		return usageError("--output env shows one thing, not a list")
	}
	if p.form == "json" && !p.quiet {
		var all bytes.Buffer
		all.WriteByte('[')
		all.Write(bytes.Join(rawBytes(items), []byte(",")))
		all.WriteByte(']')
		return p.json(all.Bytes())
	}
	t := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
	if !p.quiet {
		var titles []string
		for _, c := range columns {
			titles = append(titles, c.title)
		}
		fmt.Fprintln(t, strings.Join(titles, "\t"))
	} else {
		columns = []column{{"", id}}
	}
	for _, item := range items {
		members, err := parseObject(item)
		if err != nil {
			return fmt.Errorf("the server's answer is not a list of objects: %w", err)
		}
		var cells []string
		for _, c := range columns {
			cells = append(cells, plain(members.value(c.member)))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// did shows that something was done to the thing with that id, for answers without a body.
func (p *printer) did(member, id, what string) error {
	switch {
	case p.quiet:
		return p.line(id)
	case p.form == "table":
		_, err := fmt.Fprintf(p.err, "%s %s\n", printable(id), what)
		return err
	}
	answer, err := json.Marshal(map[string]string{member: id})
	if err != nil {
		return err
	}
	return p.object(answer, member)
}

// note tells the person at the terminal something; programs that read stdout don't see it.
func (p *printer) note(format string, args ...any) {
	if !p.quiet {
		fmt.Fprintf(p.err, format+"\n", args...)
	}
}

func (p *printer) line(s string) error {
	_, err := fmt.Fprintln(p.out, s)
	return err
}

func (p *printer) json(answer []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, answer, "", "  "); err != nil {
		return err
	}
	return p.line(b.String())
}

// A variable is a line of --output env.
type variable struct{ name, value string }

func (p *printer) env(lines []variable) error {
	for _, v := range lines {
		if _, err := fmt.Fprintf(p.out, "%s=%s\n", v.name, quote(v.value)); err != nil {
			return err
		}
	}
	return nil
}

// quote returns s so that a shell and readers of .env files see s.
func quote(s string) string {
	bare := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("_-.,:/@%+", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !bare(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
