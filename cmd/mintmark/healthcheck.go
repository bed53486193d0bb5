package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func healthcheckCommand() *cobra.Command {
	var alive bool
	c := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it is ready (exit code 0) or not (1)",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			base, err := localAddress(c)
			if err != nil {
				return err
			}
			path := "/readyz"
			if alive {
				path = "/healthz"
			}
			return probe(c.Context(), base+path)
		},
	}
	c.Flags().String("config", "", "the configuration file (default "+defaultFile+", if there is one)")
	c.Flags().String("data", "", "the data folder of a local server, in place of a configuration")
	c.Flags().BoolVar(&alive, "alive", false, "ask only whether the process lives (/healthz)")
	addFlags(c, "listen")
	return c
}

// localAddress returns where the server of a configuration is reached from this machine. Only
// the keys that say so are looked at: a container's health must not hang on the rest.
func localAddress(c *cobra.Command) (string, error) {
	dir, err := c.Flags().GetString("data")
	if err != nil {
		return "", err
	}
	if dir != "" {
		a, err := readLocal(dir)
		return a.Server, err
	}
	s, err := load(c, os.Environ())
	if err != nil {
		return "", err
	}
	if s.Listen == "" {
		s.Listen = ":8080"
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return "", usageError(fmt.Sprintf("listen is %q: it is not HOST:PORT", s.Listen))
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	scheme := "http://"
	if s.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port), nil
}

// probe succeeds if the answer is 200. The certificate is not verified: it is for another name than
// the one we use, nothing secret is sent, and this machine is asked about itself.
func probe(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready: %s answers %s", url, strings.ToLower(resp.Status))
	}
	return nil
}
