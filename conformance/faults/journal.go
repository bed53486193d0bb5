//go:build linux

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// An Entry is a line of the journal. A request has two: what was intended, and, if there was
// one, the answer.
type Entry struct {
	ID     int64         `json:"id"` // of the request
	At     time.Duration `json:"at"` // since the journal began
	Answer bool          `json:"answer,omitempty"`

	// Of the intention.
	Worker int    `json:"worker,omitempty"`
	Node   int    `json:"node,omitempty"`
	Op     string `json:"op,omitempty"`
	On     string `json:"on,omitempty"`  // what is spent, used, changed or ended
	Arg    string `json:"arg,omitempty"` // what else the judgment needs, such as the new value

	// Of the answer.
	Status int      `json:"status,omitempty"` // 0: the connection broke
	Broken string   `json:"broken,omitempty"` // how
	Slow   bool     `json:"slow,omitempty"`   // the client gave up; the server may still be at it
	Error  string   `json:"error,omitempty"`  // the error code
	Got    string   `json:"got,omitempty"`    // what was made: a code, a refresh token, an id
	Tokens []string `json:"tokens,omitempty"` // JWTs that came along
	Retry  string   `json:"retry,omitempty"`  // Retry-After
}

// A Journal is a file of entries. An entry that was appended survives whatever happens next:
// what is written together shares one fsync.
type Journal struct {
	Begin time.Time

	file  *os.File
	mu    sync.Mutex
	next  int64
	queue chan line
	ended chan struct{}
}

type line struct {
	text []byte
	done chan error
}

// NewJournal makes a journal.
func NewJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{Begin: time.Now(), file: file, queue: make(chan line, 256), ended: make(chan struct{})}
	go j.write()
	return j, nil
}

// Intend appends what is about to be asked and returns its number.
func (j *Journal) Intend(e Entry) (int64, error) {
	j.mu.Lock()
	j.next++
	e.ID = j.next
	j.mu.Unlock()
	return e.ID, j.append(e)
}

// Answer appends the answer to a request.
func (j *Journal) Answer(id int64, e Entry) error {
	e.ID, e.Answer = id, true
	return j.append(e)
}

func (j *Journal) append(e Entry) error {
	// An intention is dated before it can have an effect, and an answer after it has had it.
	e.At = time.Since(j.Begin)
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	l := line{append(text, '\n'), make(chan error, 1)}
	j.queue <- l
	return <-l.done
}

func (j *Journal) write() {
	defer close(j.ended)
	for first := range j.queue {
		group := []line{first}
		for more := true; more; {
			select {
			case l, ok := <-j.queue:
				if more = ok; ok {
					group = append(group, l)
				}
			default:
				more = false
			}
		}
		var err error
		for _, l := range group {
			_, one := j.file.Write(l.text)
			err = errors.Join(err, one)
		}
		err = errors.Join(err, j.file.Sync())
		for _, l := range group {
			l.done <- err
		}
	}
}

// Close ends the journal. Nobody may be appending.
func (j *Journal) Close() error {
	close(j.queue)
	<-j.ended
	return j.file.Close()
}

// Requests reads the journal back from its file.
func (j *Journal) Requests() ([]*Request, error) {
	file, err := os.Open(j.file.Name())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return ReadJournal(file)
}

// A Request is a request as the journal knows it.
type Request struct {
	Entry                  // what was intended
	From, To time.Duration // sent after From; answered before To, or To is never
	Got      *Entry        // nil: no answer was written
}

// never is when an answer comes that did not.
const never = time.Duration(1<<63 - 1)

// Known says whether the answer is binding. 503 is not: it may be the commit that was lost.
func (r *Request) Known() bool {
	return r.Got != nil && r.Got.Status != 0 && r.Got.Status < 500
}

// OK says whether the request is known to have done what it asked for.
func (r *Request) OK() bool { return r.Known() && r.Got.Status < 400 && r.Got.Error == "" }

// Failed says whether the request is known to have been refused with an error code.
func (r *Request) Failed(code string) bool { return r.Known() && r.Got.Error == code }

// Until is when the server can last have decided anything for this request.
func (r *Request) Until() time.Duration {
	if r.Got == nil || r.Got.Slow {
		return never
	}
	return r.To
}

// ReadJournal reads requests, in the order of their intentions.
func ReadJournal(from io.Reader) ([]*Request, error) {
	var all []*Request
	byID := map[int64]*Request{}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, err
		}
		if !e.Answer {
			r := &Request{Entry: e, From: e.At, To: never}
			byID[e.ID] = r
			all = append(all, r)
			continue
		}
		r := byID[e.ID]
		if r == nil {
			return nil, errors.New("the journal has an answer to nothing")
		}
		r.Got, r.To = &e, e.At
	}
	return all, lines.Err()
}
