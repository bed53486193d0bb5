package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"mintmark/server"
)

const defaultData = "./mintmark-data"

func devCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a server for development: no configuration, SQLite, this machine only",
		Long: `Run a server for development. It needs nothing: it makes a data folder with a database,
a master key and an admin key, listens on this machine only, and prints where everything is.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error { return runDev(c) },
	}
	c.Flags().String("listen", "127.0.0.1:8080", "Where to listen, on this machine only. Port 0 picks a free one.")
	c.Flags().String("data", defaultData, "The folder for the database and the keys.")
	addFlags(c, "issuer", "database", "tls-cert", "tls-key", "log-level", "log-format")
	return c
}

func runDev(c *cobra.Command) error {
	dir, err := c.Flags().GetString("data")
	if err != nil {
		return err
	}
	f := folder(dir)
	if err := f.make(); err != nil {
		return err
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	s, err := loadServe(c, assignment{"database.url", "sqlite:" + f.database(), "--data"}, assignment{"listen", "127.0.0.1:8080", "--listen"})
	if err != nil {
		return err
	}
	s.Dev = true
	s.DrainDelay = -1 // nobody balances in front of it
	s.FetchAllow = append(s.FetchAllow, "localhost", "127.0.0.1", "::1")
	s.ProviderHosts = append(s.ProviderHosts, "localhost", "127.0.0.1", "::1")
	if len(s.MasterKeys) == 0 {
		if s.MasterKeys, err = f.makeMasterKey(); err != nil {
			return err
		}
	}
	if s.Listener, err = listenLocally(s.Listen); err != nil {
		return err
	}
	defer s.Listener.Close()
	listening := here(s.Listen, s.Listener.Addr())
	if s.Issuer == "" {
		s.Issuer = "http://" + listening
		if s.TLSCert != "" {
			s.Issuer = "https://" + listening
		}
	}
	return runIn(c.Context(), c.OutOrStdout(), f, s, listening, devBlock)
}

// listenLocally listens on this machine and refuses anything else, before a stranger can connect.
func listenLocally(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usageError(fmt.Sprintf("--listen %q is not HOST:PORT, such as 127.0.0.1:8080", address))
	}
	if host != "localhost" && host != "127.0.0.1" && host != "::1" {
		return nil, fmt.Errorf("a development server listens on this machine only (127.0.0.1, [::1] or localhost), not on %q: use `mintmark serve`", address)
	}
	return server.Listen(address)
}

// here returns the host and port under which this machine reaches a listener: the host as it was
// asked for, the port as it was found.
func here(asked string, got net.Addr) string {
	host, _, err := net.SplitHostPort(asked)
	if err != nil || host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	_, port, err := net.SplitHostPort(got.String())
	if err != nil {
		return got.String()
	}
	return net.JoinHostPort(host, port)
}

// runIn runs a server with a data folder: it writes the admin key and dev.json there, and prints a
// block about itself.
func runIn(ctx context.Context, out io.Writer, f folder, s *setting, listening string, block func(io.Writer, folder, about, string)) error {
	srv, err := server.New(ctx, s.Config)
	if err != nil {
		return explain(err)
	}
	defer srv.Close()
	if err := srv.AdminKey(ctx, f.adminKey()); err != nil {
		return fmt.Errorf("the admin key can not be written: %w", err)
	}
	link, err := srv.SetupLink(ctx)
	if err != nil && !errors.Is(err, server.ErrSetUp) {
		return err
	}
	a, err := f.describe(s, listening)
	if err != nil {
		return err
	}
	if err := f.write(a); err != nil {
		return fmt.Errorf("dev.json can not be written: %w", err)
	}
	block(out, f, a, link)
	return runWithRoom(ctx, s, srv)
}

// devBlock tells a person at a terminal what to do next. The set-up link is the only secret in it,
// works once, and goes to standard output and never to the log.
func devBlock(out io.Writer, f folder, a about, link string) {
	data := ""
	if string(f) != defaultData {
		data = " --data " + string(f)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "mintmark %s   development mode, not for the internet\n\n", a.Version)
	fmt.Fprintf(&b, "  Issuer      %s\n", a.Issuer)
	if link != "" {
		fmt.Fprintf(&b, "  Set up      %s   one use, 30 minutes\n", link)
	}
	fmt.Fprintf(&b, "  Admin key   %s   (mode 0600)\n", f.adminKey())
	fmt.Fprintf(&b, "  Data        %s\n", a.Database)
	fmt.Fprintf(&b, "\n  Next:  mintmark users add ada@example.com --password-file FILE%s\n", data)
	fmt.Fprintf(&b, "         mintmark clients add my-app --type web --redirect http://localhost:3000/callback%s\n", data)
	fmt.Fprintf(&b, "         mintmark doctor%s\n\n", data)
	io.WriteString(out, b.String())
}

// explain says what to do about an error of the start.
func explain(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: run as a user who may, or choose another place", err)
	}
	return err
}
