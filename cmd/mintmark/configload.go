package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mintmark/internal/nearest"
)

const (
	defaultFile = "mintmark.yaml"
	maxFile     = 1 << 20
)

// An assignment is a value for a key, and where it was written.
type assignment struct {
	path  string
	value string
	from  string
}

// load reads the configuration: the defaults that it is given, the file, the environment and the
// flags, each over those before it. The error is everything that is wrong, a line for each; what
// only shows in the whole is for server.Config.Check.
func load(c *cobra.Command, environ []string, defaults ...assignment) (*setting, error) {
	fromFile, inFile := readFile(c, environ)
	fromEnv, inEnv := readEnv(environ)
	s, inValues := apply(slices.Concat(defaults, fromFile, fromEnv, readFlags(c)))
	return s, errors.Join(inFile, inEnv, inValues)
}

// apply sets what was assigned last to each key.
func apply(assigned []assignment) (*setting, error) {
	s := &setting{}
	var wrong error
	for _, k := range allKeys() {
		last := assignment{}
		for _, a := range assigned {
			if a.path == k.path {
				last = a
			}
		}
		value, err := last.value, error(nil)
		if value == "" {
			continue
		}
		if name, ok := strings.CutPrefix(value, "file:"); ok && k.secret {
			value, err = readValue(name)
		}
		if err == nil {
			err = k.set(s, value)
		}
		switch {
		case err != nil && k.secret:
			wrong = errors.Join(wrong, fmt.Errorf("%s: %s: %w", last.from, k.path, err))
		case err != nil:
			wrong = errors.Join(wrong, fmt.Errorf("%s: %s is %q: %w", last.from, k.path, last.value, err))
		}
	}
	if len(s.MasterKeys) > 0 {
		s.MasterKeys = slices.Concat(s.MasterKeys, s.previous)
	}
	return s, wrong
}

// readFile reads the file that --config or MINTMARK_CONFIG names, or else mintmark.yaml if there is one.
// A command without that flag takes no file.
func readFile(c *cobra.Command, environ []string) ([]assignment, error) {
	flag := c.Flags().Lookup("config")
	if flag == nil {
		return nil, nil
	}
	name, named := lookup(environ, "MINTMARK_CONFIG")
	if flag.Changed {
		name, named = flag.Value.String(), true
	}
	if !named || name == "" {
		name, named = defaultFile, false
	}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) && !named {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration can not be read: %w", err)
	}
	defer f.Close()
	source, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("the configuration can not be read: %w", err)
	}
	if len(source) > maxFile {
		return nil, fmt.Errorf("%s is too long for a configuration", name)
	}
	return parseYAML(name, source)
}

// notKeys are names in the environment that begin as a key does and are something else: what the
// client commands and our own tests read, and what Kubernetes puts into every container beside
// a service called mintmark.
var notKeys = []string{"MINTMARK_CONFIG", "MINTMARK_SERVER", "MINTMARK_TOKEN", "MINTMARK_TOKEN_FILE", "MINTMARK_DATA"}

var notKeyPrefixes = []string{"MINTMARK_REQUIRE_", "MINTMARK_SERVICE_", "MINTMARK_PORT"}

// readEnv reads every MINTMARK_ name. One that means nothing is an error: it would be believed
// to have an effect.
func readEnv(environ []string) ([]assignment, error) {
	var all []assignment
	var wrong error
	if url, ok := lookup(environ, "DATABASE_URL"); ok {
		all = append(all, assignment{"database.url", url, "DATABASE_URL"})
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "MINTMARK_") || slices.Contains(notKeys, name) ||
			slices.ContainsFunc(notKeyPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		i := slices.IndexFunc(allKeys(), func(k key) bool { return k.env() == name || k.env()+"_FILE" == name })
		if i < 0 {
			wrong = errors.Join(wrong, fmt.Errorf("the environment has %s, which is no key%s", name, hint(name, allNames())))
			continue
		}
		k := allKeys()[i]
		if name != k.env() {
			if _, both := lookup(environ, k.env()); both {
				wrong = errors.Join(wrong, fmt.Errorf("the environment has both %s and %s: only one of them can be meant", k.env(), name))
				continue
			}
			var err error
			if value, err = readValue(value); err != nil {
				wrong = errors.Join(wrong, fmt.Errorf("%s: %w", name, err))
				continue
			}
		}
		all = append(all, assignment{k.path, value, name})
	}
	return all, wrong
}

// readFlags reads the flags that were given.
func readFlags(c *cobra.Command) []assignment {
	var all []assignment
	for _, k := range allKeys() {
		if k.flag == "" {
			continue
		}
		if flag := c.Flags().Lookup(k.flag); flag != nil && flag.Changed {
			all = append(all, assignment{k.path, flag.Value.String(), "--" + k.flag})
		}
	}
	return all
}

// addFlags gives a command the flags of the keys with these names, or of all that have one.
func addFlags(c *cobra.Command, names ...string) {
	for _, k := range allKeys() {
		if k.flag != "" && (len(names) == 0 || slices.Contains(names, k.flag)) {
			c.Flags().String(k.flag, k.value, k.doc)
		}
	}
}

// readValue reads a value that is kept in a file of its own, as secrets are. Editors and
// `echo` end it with a newline that is not part of it.
func readValue(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, maxFile))
	return strings.TrimRight(string(value), "\r\n"), err
}

func lookup(environ []string, name string) (string, bool) {
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func allPaths() (all []string) {
	for _, k := range allKeys() {
		all = append(all, k.path)
	}
	return all
}

func allNames() (all []string) {
	for _, k := range allKeys() {
		all = append(all, k.env(), k.env()+"_FILE")
	}
	return all
}

// hint names the nearest of the known names, if one is near enough to be what was meant.
func hint(name string, known []string) string {
	near := nearest.Name(name, known, max(3, len(name)/3))
	if near == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s?", near)
}
