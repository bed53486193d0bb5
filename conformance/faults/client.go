//go:build linux

package faults

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long a client waits for an answer. It is far longer than any answer may take.
const patience = 15 * time.Second

// A World is the servers and everything that is the same for all clients.
type World struct {
	Nodes   []*Node
	Issuer  string
	Journal *Journal
	Seed    uint64
	Late    bool          // see [Oracle]
	Pace    time.Duration // of every worker, between two acts

	t       testing.TB
	key     string // of the admin API
	robot   *robot
	service application
	stop    chan struct{} // closed when nobody should begin anything more
}

// An application is a client of the server, as it was registered.
type application struct{ ID, Secret string }

// A client sends requests and writes the journal.
type client struct {
	w      *World
	worker int
	rng    *rand.Rand
	http   *http.Client
	pinned int // the only copy that it talks to, or -1
}

func (w *World) newClient(worker int) *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &client{
		w: w, worker: worker, pinned: -1,
		rng: rand.New(rand.NewPCG(w.Seed, uint64(worker))),
		http: &http.Client{
			Jar: jar, Timeout: patience,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: 5 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// A call is one request to make. Path is below the issuer, or a whole address of it.
type call struct {
	op, on, arg string
	method      string
	path        string
	form        url.Values // of a POST
	json        any        // of a POST or PATCH, in place of a form
	as          *application
	bearer      string
	admin       bool
	read        func(reply, *Entry) // what of the answer belongs into the journal
}

// A reply is an answer, or how there was none.
type reply struct {
	Entry
	header http.Header
	took   time.Duration
	body   []byte
	json   map[string]any
}

func (r reply) known() bool            { return r.Status != 0 && r.Status < 500 }
func (r reply) ok() bool               { return r.known() && r.Status < 400 && r.Error == "" }
func (r reply) str(name string) string { s, _ := r.json[name].(string); return s }

// send makes a request, between two lines in the journal.
func (c *client) send(x call) reply {
	node := c.pinned
	if node < 0 {
		node = c.rng.IntN(len(c.w.Nodes))
	}
	return c.sendTo(node, x)
}

func (c *client) sendTo(node int, x call) reply {
	r, err := c.request(c.w.Nodes[node].Address, x)
	if err != nil {
		c.w.t.Errorf("a request that can't be made: %v", err)
		return reply{}
	}
	id, err := c.w.Journal.Intend(Entry{Worker: c.worker, Node: node, Op: x.op, On: x.on, Arg: x.arg})
	if err != nil {
		c.w.t.Errorf("the journal: %v", err)
		return reply{}
	}
	got := c.do(r)
	if x.read != nil && got.known() {
		x.read(got, &got.Entry)
	}
	if err := c.w.Journal.Answer(id, got.Entry); err != nil {
		c.w.t.Errorf("the journal: %v", err)
	}
	return got
}

func (c *client) request(address string, x call) (*http.Request, error) {
	var body io.Reader
	kind := ""
	switch {
	case x.json != nil:
		text, err := json.Marshal(x.json)
		if err != nil {
			return nil, err
		}
		body, kind = strings.NewReader(string(text)), "application/json"
	case x.form != nil:
		body, kind = strings.NewReader(x.form.Encode()), "application/x-www-form-urlencoded"
	}
	r, err := http.NewRequest(x.method, address+strings.TrimPrefix(x.path, c.w.Issuer), body)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if r.Method == "POST" && x.as == nil && !x.admin {
		r.Header.Set("Origin", c.w.Issuer)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if x.as != nil {
		r.SetBasicAuth(url.QueryEscape(x.as.ID), url.QueryEscape(x.as.Secret))
	}
	if x.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+x.bearer)
	}
	if x.admin {
		r.Header.Set("Authorization", "ApiKey "+c.w.key)
	}
	return r, nil
}

func (c *client) do(r *http.Request) reply {
	var got reply
	begin := time.Now()
	resp, err := c.http.Do(r)
	if err == nil {
		got.body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
	}
	got.took = time.Since(begin)
	if err != nil {
		timeout, ok := errors.AsType[net.Error](err)
		got.Broken, got.Slow = err.Error(), ok && timeout.Timeout()
		return got
	}
	got.Status, got.header, got.Retry = resp.StatusCode, resp.Header, resp.Header.Get("Retry-After")
	_ = json.Unmarshal(got.body, &got.json) // not everything is JSON
	if got.Status >= 400 {
		got.Error = got.str("error")
		if got.Error == "" {
			got.Error = got.str("code")
		}
		if got.Error == "" {
			got.Error = strconv.Itoa(got.Status)
		}
	}
	return got
}

// settle asks until somebody answers: what a careful client does after a lost answer. It gives
// up when the load ends.
func (c *client) settle(x call) reply {
	for {
		got := c.send(x)
		if got.known() {
			return got
		}
		select {
		case <-c.w.stop:
			return got
		case <-time.After(20*time.Millisecond + time.Duration(c.rng.Int64N(int64(80*time.Millisecond)))):
		}
	}
}

// pause waits, unless the load ends.
func (c *client) pause(least, more time.Duration) {
	select {
	case <-c.w.stop:
	case <-time.After(least + time.Duration(c.rng.Int64N(int64(more)))):
	}
}
