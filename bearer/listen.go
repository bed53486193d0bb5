package bearer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The limits of what the issuer may send.
const (
	maxSnapshot = 2 << 20 // of one page
	maxLine     = 512 << 10
)

// errSilent means that nothing came, not even that there is nothing.
var errSilent = errors.New("nothing came for 15 s")

// errBegin means that the issuer does not know up to where we were: its database is another one.
var errBegin = errors.New("the issuer wants us to begin anew")

// Run hears the issuer until ctx ends. It comes back after every failure, a moment later each time.
func (f *Feed) Run(ctx context.Context) {
	go f.expire(ctx)
	pause := feedFirstPause
	for {
		worked, err := f.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if worked {
			pause = feedFirstPause
		}
		if !worked || err != errEnded {
			f.loses(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause)): // all others come back at the same moment
		}
		pause = min(2*pause, feedMostPause)
	}
}

// errEnded means that the issuer ended the stream in order: another copy of it takes us.
var errEnded = errors.New("the issuer ended the connection")

func (f *Feed) expire(ctx context.Context) {
	tick := time.NewTicker(feedExpire)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			f.expireAt(now)
		}
	}
}

// expireAt forgets what nobody can show any more. If something was left out for want of room, and
// there is room now, everything is read anew; until then it is not known.
func (f *Feed) expireAt(now time.Time) {
	f.denied.expire(now)
	if f.denied.full.Load() && f.denied.size() < f.Most*9/10 {
		f.forgetPlace()
	}
}

func (f *Feed) forgetPlace() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Since = ""
}

// listen hears the issuer on one connection, and says whether it worked for a while.
func (f *Feed) listen(ctx context.Context) (worked bool, err error) {
	if f.since() == "" {
		if err := f.begin(ctx); err != nil {
			return false, err
		}
	}
	worked, err = f.stream(ctx)
	if err == errSilent && !worked {
		worked, err = f.poll(ctx)
	}
	if err == errBegin {
		f.forgetPlace()
	}
	return worked, err
}

// request asks the issuer. The answer's body must be closed.
func (f *Feed) request(ctx context.Context, path, since, accept string) (*http.Response, error) {
	address := f.address + path
	if since != "" {
		address += "?since=" + url.QueryEscape(since)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "ApiKey "+f.Key)
	r.Header.Set("Accept", accept)
	resp, err := f.Client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusGone {
		return nil, errBegin
	}
	return nil, fmt.Errorf("%s answers %s", f.address+path, resp.Status)
}

// fetch asks for a bounded document.
func (f *Feed) fetch(ctx context.Context, path, since, accept string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	resp, err := f.request(ctx, path, since, accept)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSnapshot+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSnapshot {
		return nil, fmt.Errorf("%s is longer than %d bytes", f.address+path, maxSnapshot)
	}
	return text, nil
}

// A place is up to where everything is known, in the words of the issuer. Older ones wrote a number.
type place string

// UnmarshalJSON implements [json.Unmarshaler].
func (p *place) UnmarshalJSON(text []byte) error {
	var number json.Number
	if err := json.Unmarshal(text, &number); err == nil && len(text) > 0 && text[0] != '"' {
		*p = place(number)
		return nil
	}
	return json.Unmarshal(text, (*string)(p))
}

// A snapshot is the claims of a signed page of everything that is revoked.
type snapshot struct {
	Issuer      string       `json:"iss"`
	Audience    string       `json:"aud"`
	Expires     int64        `json:"exp"`
	Seq         place        `json:"seq"`
	Revocations []revocation `json:"revocations"`
	Next        string       `json:"next"`
}

// begin reads everything that is revoked, page by page. Only at its end is known whether there is
// room for all of it.
func (f *Feed) begin(ctx context.Context) error {
	all, next := true, ""
	for {
		text, err := f.fetch(ctx, "/snapshot", next, "application/revocations+jwt")
		if err != nil {
			return err
		}
		s, err := f.believe(ctx, string(text), time.Now())
		if err != nil {
			return fmt.Errorf("a snapshot of revocations: %w", err)
		}
		all = f.apply(s.Revocations) && all
		if s.Next == "" {
			f.denied.full.Store(!all)
			f.knows(string(s.Seq), "")
			return nil
		}
		next = s.Next
	}
}

// believe verifies a snapshot as a token is verified: type, algorithm, issuer, times, and by whom
// it is signed.
func (f *Feed) believe(ctx context.Context, token string, now time.Time) (*snapshot, error) {
	j, err := parse(token, maxSnapshot, func(string) (header, bool) { return header{}, false })
	if err != nil {
		return nil, err
	}
	known := false
	for _, alg := range f.Algorithms {
		known = known || alg == j.header.Alg
	}
	if !known || !sameType("revocations+jwt", j.header.Typ) {
		return nil, errHeader
	}
	if _, err := f.keys.verify(ctx, j, now); err != nil {
		return nil, err
	}
	s := new(snapshot)
	if err := json.Unmarshal(j.payload, s); err != nil {
		return nil, errClaims
	}
	if s.Issuer != f.Issuer || s.Audience != f.Issuer || now.After(time.Unix(s.Expires, 0).Add(time.Minute)) || s.Seq == "" {
		return nil, errClaims
	}
	return s, nil
}

// stream hears the issuer as it speaks. It worked if there was a word.
func (f *Feed) stream(ctx context.Context) (worked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(f.silence, cancel)
	defer silence.Stop()
	resp, err := f.request(ctx, "", f.since(), "text/event-stream")
	if err == nil {
		defer resp.Body.Close()
		worked, err = f.hear(resp, func() { silence.Reset(f.silence) })
	}
	if ctx.Err() != nil {
		return worked, errSilent
	}
	return worked, err
}

// hear reads server-sent events, HTML Standard §9.2.6, as far as the issuer writes them.
func (f *Feed) hear(resp *http.Response, word func()) (worked bool, err error) {
	if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); kind != "text/event-stream" {
		return false, fmt.Errorf("%s does not answer with events", f.address)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var found []revocation
	id := ""
	for lines.Scan() {
		word()
		worked = true
		line := lines.Bytes()
		switch {
		case len(line) > 0 && bytes.HasPrefix(line, []byte("data: ")):
			var some []revocation
			if err := json.Unmarshal(line[len("data: "):], &some); err != nil {
				return worked, fmt.Errorf("%s tells what can't be read", f.address)
			}
			found = append(found, some...)
		case bytes.HasPrefix(line, []byte("id: ")):
			id = string(line[len("id: "):])
		case len(line) == 0:
			f.apply(found)
			found = found[:0]
			if id != "" {
				f.knows(id, "stream")
			}
			id = ""
			if f.since() == "" {
				return worked, errBegin
			}
		}
	}
	if err := lines.Err(); err != nil {
		return worked, err
	}
	return worked, errEnded
}

// poll asks again and again, for a while.
func (f *Feed) poll(ctx context.Context) (worked bool, err error) {
	for end := time.Now().Add(feedPollFor); time.Now().Before(end); {
		next := f.since()
		if next == "" {
			return worked, errBegin
		}
		for next != "" {
			text, err := f.fetch(ctx, "", next, "application/json")
			if err != nil {
				return worked, err
			}
			var page struct {
				Items []revocation `json:"items"`
				Seq   place        `json:"seq"`
				Next  string       `json:"next"`
			}
			if err := json.Unmarshal(text, &page); err != nil || page.Seq == "" {
				return worked, fmt.Errorf("%s answers what can't be read", f.address)
			}
			f.apply(page.Items)
			if next = page.Next; next == "" {
				f.knows(string(page.Seq), "poll")
			}
		}
		worked = true
		select {
		case <-ctx.Done():
			return worked, ctx.Err()
		case <-time.After(feedPollEvery/2 + rand.N(feedPollEvery)/2):
		}
	}
	return worked, errEnded // perhaps a stream can be had by now
}
