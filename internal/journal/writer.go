package journal

import (
	"io"
	"sync"
	"time"
)

const (
	// moment is for how long lines are gathered after one was written.
	moment = 10 * time.Millisecond
	// most is how many bytes wait to be written. Whoever has more waits with them, so that a file
	// which takes nothing holds the server up, and not its memory.
	most = 256 << 10
)

// A Writer writes lines to a file, between [Writer.Begin] and [Writer.End] those of the same moment
// together. It is safe for concurrent use, and starts nothing that goes on after the end.
type Writer struct {
	to io.Writer

	writing chan struct{} // has one in it while something is written

	mu      sync.Mutex
	gathers bool
	held    []byte
	spare   []byte      // what held was before: its memory is used again
	timer   *time.Timer // nil: nothing was written in the last moment
}

// NewWriter returns a writer to a file.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to, writing: make(chan struct{}, 1)} }

// Begin makes lines that come soon after another wait for more.
func (w *Writer) Begin() {
	w.mu.Lock()
	w.gathers = true
	w.mu.Unlock()
}

// End writes what is gathered. Every line after that is written at once.
func (w *Writer) End() error {
	w.mu.Lock()
	w.gathers = false
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	w.mu.Unlock()
	return w.Flush()
}

// Write takes whole lines.
func (w *Writer) Write(lines []byte) (int, error) {
	if w.take(lines) {
		if err := w.Flush(); err != nil {
			return 0, err
		}
	}
	return len(lines), nil
}

// take adds to what is gathered, and says whether it is to be written now.
func (w *Writer) take(lines []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, lines...)
	switch {
	case !w.gathers:
		return true
	case w.timer == nil:
		w.timer = time.AfterFunc(moment, w.pass)
		return true
	}
	return len(w.held) >= most
}

// pass ends a moment. The next one begins if there was anything in it.
func (w *Writer) pass() {
	w.mu.Lock()
	anything := len(w.held) > 0
	if !anything {
		w.timer = nil
	}
	w.mu.Unlock()
	if !anything {
		return
	}
	_ = w.Flush() // a log that can not be written can not be told
	w.mu.Lock()
	if w.timer != nil {
		w.timer.Reset(moment)
	}
	w.mu.Unlock()
}

// Flush writes what is gathered.
func (w *Writer) Flush() error {
	w.writing <- struct{}{}
	defer func() { <-w.writing }()
	w.mu.Lock()
	lines := w.held
	w.held, w.spare = w.spare, nil
	w.mu.Unlock()
	if len(lines) == 0 {
		return nil // whoever was before has written it
	}
	_, err := w.to.Write(lines)
	w.mu.Lock()
	w.spare = lines[:0]
	w.mu.Unlock()
	return err
}
