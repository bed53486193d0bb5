//go:build linux

package faults

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Proxy stands between a copy of the server and PostgreSQL. It knows where a message of the
// protocol begins and ends (one byte of type, four of length), and so can lose just one.
//
// The server sends a verb as one batch: Parse or Bind and Execute for each statement and one
// Sync at the end, at which PostgreSQL commits. To hold that Sync, or to lose what comes after
// it, is to make the outcome unknown.
type Proxy struct {
	listener net.Listener

	mu     sync.Mutex
	to     *url.URL // the database
	links  map[*link]bool
	rule   Rule
	opened chan struct{} // closed while nothing is held
}

// A Rule is what a proxy does to messages. The zero value does nothing.
type Rule struct {
	// Delay is added to every message.
	Delay time.Duration
	// Hole keeps every byte in both directions, and lets new connections wait. What was kept
	// arrives when the rule changes.
	Hole bool
	// Sync decides, when a batch with a statement that contains Of ends, what becomes of the
	// Sync and the answer.
	Sync Fate
	Of   string
	// Times is how many batches meet that fate. 0: all.
	Times int
}

// A Fate is what happens at the end of a batch.
type Fate int

// The fates.
const (
	Pass   Fate = iota
	Hold        // the Sync waits, and when the rule changes the connection is cut: nothing is committed
	HoldOn      // the Sync waits until the rule changes, and is sent even if the server has left
	Lose        // the Sync is sent, and the answer is lost: everything is committed
	Cut         // the connection is cut before the Sync
	CutOff      // the Sync is sent and the connection is cut
)

// NewProxy listens on this machine and leads to a database.
func NewProxy(t testing.TB, database string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, links: map[*link]bool{}, opened: make(chan struct{})}
	close(p.opened)
	p.Lead(t, database)
	t.Cleanup(func() {
		l.Close()
		p.Set(Rule{})
		p.Reset()
	})
	go p.accept()
	return p
}

// Lead makes new connections lead to another database.
func (p *Proxy) Lead(t testing.TB, database string) {
	t.Helper()
	to, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// URL is the address of the database through the proxy.
func (p *Proxy) URL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := *p.to
	at.Host, at.RawQuery = p.listener.Addr().String(), "sslmode=disable"
	return at.String()
}

// dial connects to the database: to a Unix socket if its URL names the folder of one.
func (p *Proxy) dial() (net.Conn, error) {
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	if folder := to.Query().Get("host"); strings.HasPrefix(folder, "/") {
		return net.Dial("unix", filepath.Join(folder, ".s.PGSQL.5432"))
	}
	return net.Dial("tcp", to.Host)
}

// Set changes the rule. What an older one has held is let go.
func (p *Proxy) Set(r Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = r
	select {
	case <-p.opened:
	default:
		close(p.opened)
	}
	if r.Hole || r.Sync == Hold || r.Sync == HoldOn {
		p.opened = make(chan struct{})
	}
}

// Reset cuts every connection hard: both ends get RST.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

func (p *Proxy) current() (Rule, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rule, p.opened
}

// fate takes one of the times that a rule applies, if it applies to a batch.
func (p *Proxy) fate(batch string) (Fate, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.rule
	if r.Sync == Pass || !strings.Contains(batch, r.Of) {
		return Pass, nil
	}
	fate := r.Sync
	if r.Times > 0 {
		if r.Times--; r.Times == 0 {
			r.Sync = Pass
		}
	}
	return fate, p.opened
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(client.(*net.TCPConn))
	}
}

// A link is one connection through the proxy.
type link struct {
	p      *Proxy
	client *net.TCPConn
	server net.Conn
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	lost bool // what the server says does not arrive any more
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		l.client.Close()
		l.server.Close()
	})
}

func (l *link) reset() {
	l.client.SetLinger(0) // closing sends RST
	l.close()
}

func (p *Proxy) serve(client *net.TCPConn) {
	server, err := p.dial()
	if err != nil {
		if rule, opened := p.current(); rule.Hole {
			<-opened // out of a hole nobody says that nobody is there
		}
		client.SetLinger(0)
		client.Close() // the server is away: as good as refused
		return
	}
	l := &link{p: p, client: client, server: server, closed: make(chan struct{})}
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	go l.forth()
	l.back()
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// wait is what a rule does to any message.
func (l *link) wait() error {
	rule, opened := l.p.current()
	if rule.Hole {
		select {
		case <-opened:
		case <-l.closed:
			return net.ErrClosed
		}
	}
	if rule.Delay > 0 {
		time.Sleep(rule.Delay)
	}
	return nil
}

// forth carries what the client says, until it has left.
func (l *link) forth() {
	defer l.close()
	messages := make(chan []byte, 64)
	go func() {
		defer close(messages)
		first := true
		for {
			m, err := readMessage(l.client, first)
			if err != nil {
				return // what it has sent before may still be on the way
			}
			first = false
			select {
			case messages <- m:
			case <-l.closed:
				return
			}
		}
	}()
	prepared, batch := map[string]string{}, ""
	startup := true
	for m := range messages {
		if l.wait() != nil {
			return
		}
		if startup {
			startup = false
		} else {
			switch m[0] {
			case 'P': // Parse: a name and a text
				name, rest := cString(m[5:])
				text, _ := cString(rest)
				prepared[name] = text
			case 'B': // Bind: a portal and the name of what was prepared
				_, rest := cString(m[5:])
				name, _ := cString(rest)
				batch += prepared[name] + ";"
			case 'S':
				if !l.sync(m, batch) {
					return
				}
				batch = ""
				continue
			}
		}
		if _, err := l.server.Write(m); err != nil {
			return
		}
	}
}

// sync is the end of a batch. It says whether the connection goes on.
func (l *link) sync(m []byte, batch string) bool {
	fate, opened := l.p.fate(batch)
	switch fate {
	case Cut:
		l.reset()
		return false
	case Hold, HoldOn:
		select {
		case <-opened:
		case <-l.closed:
			return false
		}
		if fate == Hold {
			l.reset()
			return false
		}
	case Lose, CutOff:
		l.mu.Lock()
		l.lost = true
		l.mu.Unlock()
	}
	_, err := l.server.Write(m)
	if fate == CutOff {
		time.Sleep(20 * time.Millisecond) // for the commit
		l.reset()
		return false
	}
	return err == nil
}

// back carries what the server says.
func (l *link) back() {
	for {
		m, err := readMessage(l.server, false)
		if l.wait() != nil || err != nil { // nor does the end of the server come out of a hole
			return
		}
		l.mu.Lock()
		lost := l.lost
		l.mu.Unlock()
		if lost {
			continue
		}
		if _, err := l.client.Write(m); err != nil {
			return
		}
	}
}

// readMessage reads one message. The first of a connection has no type.
func readMessage(from io.Reader, first bool) ([]byte, error) {
	head := 5
	if first {
		head = 4
	}
	m := make([]byte, head, 512)
	if _, err := io.ReadFull(from, m); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(m[head-4:]))
	if n < 4 || n > 1<<26 {
		return nil, errors.New("not a message of PostgreSQL")
	}
	m = append(m, make([]byte, n-4)...)
	_, err := io.ReadFull(from, m[head:])
	return m, err
}

func cString(b []byte) (string, []byte) {
	s, rest, _ := strings.Cut(string(b), "\x00")
	return s, []byte(rest)
}
