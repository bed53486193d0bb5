package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxAnswer bounds what we read from a server.
const maxAnswer = 32 << 20

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
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, args []string) error {
			var names []string
			for _, sub := range c.Commands() {
				names = append(names, sub.Name())
			}
			return usageError(c.CommandPath() + " needs one of: " + strings.Join(names, ", "))
		},
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

// A remote is a running Mintmark whose admin API we speak.
type remote struct {
	url  string // without a slash at the end; the API is below it
	key  string
	http *http.Client
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

// dial returns a remote. It does not speak to it yet.
func dial(at, key, certificate string, warn io.Writer) (*remote, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, usageError("--server must be a URL like https://id.example.com")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) && key != "" {
		fmt.Fprintf(warn, "mintmark: warning: the API key goes to %s unencrypted\n", u.Host)
	}
	h, err := httpClient(certificate)
	if err != nil {
		return nil, err
	}
	return &remote{url: strings.TrimRight(at, "/"), key: key, http: h}, nil
}

// httpClient returns a client that follows no redirects: the key is for one server.
func httpClient(certificate string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if certificate != "" {
		pem, err := os.ReadFile(certificate)
		if err != nil {
			return nil, err
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", certificate)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// do sends a request to the admin API and returns the JSON of the answer, if there is any.
// The path is below /api/v1; in is sent as JSON unless it is nil.
func (s *remote) do(ctx context.Context, method, path string, in any) (json.RawMessage, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.url+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "ApiKey "+s.key)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	status, answer, err := s.send(r)
	switch {
	case err != nil:
		return nil, err
	case status >= 300:
		return nil, refused(status, answer, s.url)
	case len(answer) > 0 && !json.Valid(answer):
		return nil, fmt.Errorf("%s does not speak the admin API: it answered with something else than JSON", s.url)
	}
	return answer, nil
}

// send sends any request and reads the whole answer.
func (s *remote) send(r *http.Request) (status int, answer []byte, err error) {
	r.Header.Set("User-Agent", "mintmark/"+programVersion())
	resp, err := s.http.Do(r)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err
		}
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			return 0, nil, fmt.Errorf("nobody that this system trusts vouches for the certificate of %s: name one with --ca-file", r.URL.Host)
		}
		return 0, nil, fmt.Errorf("the server at %s can't be reached: %w", s.url, err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("the answer of %s broke off: %w", s.url, err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, fmt.Errorf("the answer of %s is too long", s.url)
	}
	return resp.StatusCode, answer, nil
}

// list reads every page of a list.
func (s *remote) list(ctx context.Context, path string, query url.Values) ([]json.RawMessage, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "500")
	all := []json.RawMessage{}
	for {
		answer, err := s.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  string            `json:"next"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return nil, fmt.Errorf("%s does not speak the admin API: %w", s.url, err)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("after", page.Next)
	}
}

// A refusal is a problem document of the server, RFC 9457.
type refusal struct {
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
}

// Error is the server's own sentence, and where to find it in the log.
func (r *refusal) Error() string {
	text := printable(strings.TrimSuffix(r.Detail, "."))
	if r.RequestID != "" {
		text += " (request " + printable(r.RequestID) + ")"
	}
	return text
}

func refused(status int, answer []byte, at string) error {
	var r refusal
	if json.Unmarshal(answer, &r) != nil || r.Code == "" || r.Detail == "" {
		return fmt.Errorf("%s answered with status %d: is it a Mintmark server?", at, status)
	}
	return &r
}
