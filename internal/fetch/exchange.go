package fetch

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// A Request is one request to an address that somebody else chose.
type Request struct {
	Method string // empty: GET
	URL    string
	Header http.Header
	Body   []byte
	Limit  int // bytes of the answer's body. Zero: 64 KiB
}

// An Answer is what came back, whatever its status. A redirect is an answer: it is not followed.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request and reads all of the answer, in five seconds together or as long as ctx
// lasts. An error means that there was no whole answer. It names the target: it is for the log,
// and not for whoever chose the address.
func (f *Fetcher) Do(ctx context.Context, q Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	u, err := url.Parse(q.URL)
	if err != nil {
		return Answer{}, err
	}
	if err := f.check(u); err != nil {
		return Answer{}, err
	}
	done, err := f.enter(ctx, u.Host)
	if err != nil {
		return Answer{}, err
	}
	defer done()
	r, err := http.NewRequestWithContext(ctx, cmp.Or(q.Method, http.MethodGet), u.String(), bytes.NewReader(q.Body))
	if err != nil {
		return Answer{}, err
	}
	for name, values := range q.Header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", "mintmark")
	client := f.https
	if u.Scheme == "http" {
		client = f.http
	}
	resp, err := client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	limit := cmp.Or(q.Limit, maxBytes)
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	if err != nil {
		return Answer{}, err
	}
	if len(body) > limit {
		return Answer{}, fmt.Errorf("%w: longer than %d bytes", ErrTooLong, limit)
	}
	return Answer{resp.StatusCode, resp.Header, body}, nil
}

// CloseIdle closes the connections that are kept and not in use.
func (f *Fetcher) CloseIdle() {
	f.https.CloseIdleConnections()
	f.http.CloseIdleConnections()
}
