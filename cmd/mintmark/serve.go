package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mintmark/server"
)

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server in production",
		Long: `Run the server in production. The configuration comes from a file, the environment and flags,
each over those before it. Three keys are needed: issuer, database.url and
secrets.encryption_key. Every key of the file is also MINTMARK_ and its path in the
environment (MINTMARK_DATABASE_URL), or with _FILE at the end the name of a file that
holds the value.

Keys:

` + keyList(),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error { return runServe(c) },
	}
	c.Flags().String("config", "", "the configuration file (default "+defaultFile+", if there is one)")
	c.Flags().String("data", "", "a folder for the database, the admin key and dev.json; its master.key is used if there is one")
	addFlags(c)
	return c
}

func runServe(c *cobra.Command) error {
	dir, err := c.Flags().GetString("data")
	if err != nil {
		return err
	}
	f := folder(dir)
	var defaults []assignment
	if dir != "" {
		if err := f.make(); err != nil {
			return err
		}
		// Not the issuer of the last time: in production it is said, and not remembered.
		for _, a := range f.defaults() {
			if a.path != "issuer" {
				defaults = append(defaults, a)
			}
		}
	}
	s, err := loadServe(c, defaults...)
	if err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	unlock, err := lockAll(f, s.Database)
	if err != nil {
		return err
	}
	defer unlock()
	if s.Listen == "" {
		s.Listen = ":8080"
	}
	if s.Listener, err = server.Listen(s.Listen); err != nil {
		return err
	}
	defer s.Listener.Close()
	listening := here(s.Listen, s.Listener.Addr())
	if dir != "" {
		return runIn(c.Context(), c.OutOrStdout(), f, s, listening, func(out io.Writer, f folder, a about, link string) {
			serveBlock(out, s, listening)
		})
	}
	return serveAlone(c.Context(), c.OutOrStdout(), s, listening)
}

// serveAlone runs a server that writes no file at all.
func serveAlone(ctx context.Context, out io.Writer, s *setting, listening string) error {
	srv, err := server.New(ctx, s.Config)
	if err != nil {
		return explain(err)
	}
	defer srv.Close()
	serveBlock(out, s, listening)
	return runWithRoom(ctx, s, srv)
}

// lockAll takes the data folder and the folder of an SQLite database, so that no second server
// writes there. Copies on PostgreSQL need no lock.
func lockAll(f folder, database string) (unlock func(), err error) {
	folders := []folder{}
	if f != "" {
		folders = append(folders, f)
	}
	if file, ok := strings.CutPrefix(database, "sqlite:"); ok {
		if at := folder(filepath.Dir(file)); f == "" || filepath.Clean(string(f)) != filepath.Clean(string(at)) {
			folders = append(folders, at)
		}
	}
	var held []func()
	unlock = func() {
		for _, u := range held {
			u()
		}
	}
	for _, f := range folders {
		u, err := f.lock()
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, u)
	}
	return unlock, nil
}

// serveBlock is what an operator should see at every start. Nothing in it is secret.
func serveBlock(out io.Writer, s *setting, listening string) {
	var b strings.Builder
	fmt.Fprintf(&b, "mintmark %s\n\n  Issuer      %s\n  Listening   %s\n  Database    %s\n\n",
		s.Version, s.Issuer, listening, describeDatabase(s.Database))
	for _, item := range []struct {
		ok        bool
		good, bad string
	}{
		{strings.HasPrefix(s.Issuer, "https://"), "the issuer is https", "the issuer is http: applications elsewhere will refuse it"},
		{len(s.MasterKeys) > 0, "secrets in the database are sealed", ""},
		{len(s.MasterKeys) < 2, "no master key is waiting to be retired", "older master keys are still accepted: run `mintmark secrets rotate`, then remove them"},
		{s.TLSCert != "" || len(s.TrustedProxies) > 0, "client addresses are known", "trusted_proxies is empty: behind a proxy every sign-in counts for the proxy's address, and API keys are refused as sent in clear text"},
		{s.AdminListen != "", "metrics are served on admin_listen", "admin_listen is not set: there are no metrics"},
	} {
		if item.ok {
			fmt.Fprintf(&b, "  ✓ %s\n", item.good)
		} else {
			fmt.Fprintf(&b, "  ✗ %s\n", item.bad)
		}
	}
	b.WriteString("\n  No administrator yet?  mintmark setup-link\n\n")
	io.WriteString(out, b.String())
}

// keyList is the table of keys, for a terminal.
func keyList() string {
	var b strings.Builder
	for _, k := range allKeys() {
		fmt.Fprintf(&b, "  %s", k.path)
		if k.value != "" {
			fmt.Fprintf(&b, " (%s)", k.value)
		}
		fmt.Fprintf(&b, "\n      %s\n", k.doc)
	}
	return b.String()
}

// keyReference is the table of keys as the Markdown of docs/reference/configuration.md.
func keyReference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

Defaults < ` + "`mintmark.yaml`" + ` (` + "`--config`, `MINTMARK_CONFIG`" + `) < environment < flags. This page is made from
the table that the program reads (` + "`cmd/mintmark/config.go`" + `). A key that is not in it stops the start, with
the line and the nearest key that is.

With ` + "`_FILE`" + ` at the end, a name in the environment is the name of a file that holds the value. In the file,
a value marked * may be ` + "`file:NAME`" + ` for the same. Durations are written ` + "`90s`, `5m`, `12h`, `30d`" + `. Lists in
the environment are separated by commas.

| key | environment | flag of ` + "`serve`" + ` | default | meaning |
|---|---|---|---|---|
`)
	for _, k := range allKeys() {
		path, flag, value := "`"+k.path+"`", "", ""
		if k.secret {
			path += " *"
		}
		if k.flag != "" {
			flag = "`--" + k.flag + "`"
		}
		if k.value != "" {
			value = "`" + k.value + "`"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", path, k.env(), flag, value, k.doc)
	}
	return b.String()
}
