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
)

// maxAnswer bounds what we read from a server.
const maxAnswer = 32 << 20

// A remote is a running Mintmark whose admin API we speak.
type remote struct {
	url  string // without a slash at the end; the API is below it
	key  string
	http *http.Client
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
