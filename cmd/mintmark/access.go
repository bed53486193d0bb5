package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// An access says which server to speak to, with which key, and how to show the answer: the
// flags that all commands over the admin API have in common.
type access struct {
	server, token, tokenFile, data, caFile string
	output                                 string
	quiet                                  bool
}

// flags adds the flags to a command and to those below it.
func (a *access) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&a.server, "server", "", "URL of the server (MINTMARK_SERVER)")
	f.StringVar(&a.token, "token", "", "API key (MINTMARK_TOKEN); others on this machine may see it here, so prefer --token-file")
	f.StringVar(&a.tokenFile, "token-file", "", "file that holds the API key (MINTMARK_TOKEN_FILE)")
	f.StringVar(&a.data, "data", "", "data folder of a local server, which holds its URL and its admin key (MINTMARK_DATA)")
	f.StringVar(&a.caFile, "ca-file", "", "PEM file of a certificate to trust besides those that the system trusts")
	f.StringVar(&a.output, "output", "table", "table, json or env")
	f.BoolVar(&a.quiet, "quiet", false, "print ids only")
}

// apiGroup is a command whose subcommands speak the admin API.
func apiGroup(name, short string, subs ...func(*access) *cobra.Command) *cobra.Command {
	a := &access{}
	c := &cobra.Command{
		Use:   name,
		Short: short,
	}
	a.flags(c)
	for _, sub := range subs {
		c.AddCommand(sub(a))
	}
	return c
}

// run makes a RunE of a function that speaks to the server.
func (a *access) run(do func(ctx context.Context, at *remote, out *printer, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		out, err := a.printer(c)
		if err != nil {
			return err
		}
		at, err := a.connect(c.ErrOrStderr())
		if err != nil {
			return err
		}
		return do(c.Context(), at, out, args)
	}
}

// connect finds the server and the key.
func (a *access) connect(warn io.Writer) (*remote, error) {
	at, err := a.find()
	if err != nil {
		return nil, err
	}
	key, err := a.key(at.data)
	if err != nil {
		return nil, err
	}
	if key == "" {
		return nil, usageError("with which API key? Say --token-file FILE, MINTMARK_TOKEN, or --data DIR for a local server")
	}
	return dial(at.url, key, at.certificate, warn)
}

// A place is where a server is.
type place struct {
	url         string
	issuer      string // as far as we know without asking
	certificate string // file of a certificate that vouches for it, or ""
	data        string // its data folder, or ""
}

// find says where the server is. A flag wins over the environment. The folder that `mintmark
// dev` uses is looked into only if nobody said anything about server or key: the key of a
// local server must not be sent to another one by accident.
func (a *access) find() (place, error) {
	p := place{url: a.server, issuer: a.server, certificate: a.caFile, data: a.data}
	if p.url == "" && p.data == "" {
		p.url, p.issuer = os.Getenv("MINTMARK_SERVER"), os.Getenv("MINTMARK_SERVER")
	}
	if p.url == "" && p.data == "" {
		p.data = os.Getenv("MINTMARK_DATA")
	}
	if p.url == "" && p.data == "" && a.token == "" && a.tokenFile == "" {
		if _, err := os.Stat(folder(defaultData).about()); err == nil {
			p.data = defaultData
		}
	}
	switch {
	case p.url != "":
		return p, nil
	case p.data == "":
		return place{}, usageError("which server? Say --data DIR for a local one, or --server URL (MINTMARK_SERVER) and --token-file FILE (MINTMARK_TOKEN)")
	}
	local, err := readLocal(p.data)
	if err != nil {
		return place{}, err
	}
	p.url, p.issuer = local.Server, local.Issuer
	if p.certificate == "" {
		p.certificate = local.TLSCert
	}
	return p, nil
}

// key returns the API key, or "" if there is none. data is the folder of the local server that
// is meant, or "".
func (a *access) key(data string) (string, error) {
	switch {
	case a.token != "" && a.tokenFile != "":
		return "", usageError("--token and --token-file can't be given together")
	case a.token != "":
		return strings.TrimSpace(a.token), nil
	case a.tokenFile != "":
		return readKey(a.tokenFile)
	case data != "":
		return readKey(folder(data).adminKey())
	case os.Getenv("MINTMARK_TOKEN") != "":
		return strings.TrimSpace(os.Getenv("MINTMARK_TOKEN")), nil
	case os.Getenv("MINTMARK_TOKEN_FILE") != "":
		return readKey(os.Getenv("MINTMARK_TOKEN_FILE"))
	}
	return "", nil
}

func readKey(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the API key can't be read: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// readLocal says where the server of a data folder is.
func readLocal(data string) (about, error) {
	a, err := folder(data).read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return about{}, fmt.Errorf("%s is not the data folder of a running server: there is no dev.json in it (start one with: mintmark dev --data %s)", data, data)
	case err != nil:
		return about{}, fmt.Errorf("%s does not say where the server is: %w", folder(data).about(), err)
	}
	return a, nil
}
