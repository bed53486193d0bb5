package revocations

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What a cursor can be refused for.
var (
	// ErrCursor: it is none that we made.
	ErrCursor = errors.New("revocations: not a cursor")
	// ErrFuture: it is from after the last revocation there is. The database went back in time,
	// or is another one: who has it must begin anew.
	ErrFuture = errors.New("revocations: the cursor is from another time")
)

// A Page is a part of what is of interest after a cursor.
type Page struct {
	Found []Revocation
	// Low is where to go on from when everything was read: the same for all pages of one reading.
	Low int64
	// Next is the cursor of the next page; empty on the last.
	Next string
}

// A cursor is what its reader began to read at, and how far that reading has come.
type cursor struct {
	low   int64 // of the place of the first page; 0 until that is read
	after At
}

// parseCursor reads a number, from which on everything is wanted, or the Next of a page:
// low-seq-kind-ref.
func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	part := strings.SplitN(text, "-", 4)
	number := make([]int64, 0, 2)
	for _, digits := range part[:min(2, len(part))] {
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 {
			return cursor{}, ErrCursor
		}
		number = append(number, n)
	}
	switch {
	case len(part) == 1:
		return cursor{after: At{Seq: number[0]}}, nil
	case len(part) == 4 && len(text) < 400 && utf8.ValidString(text) && strings.IndexByte(text, 0) < 0:
		return cursor{number[0], At{number[1], part[2], part[3]}}, nil
	}
	return cursor{}, ErrCursor
}

// Read returns at most limit revocations that matter at a time after a cursor: "" for all that
// there are, the id of a message or the Low of a page for those from there on, or the Next of a page.
func Read(ctx context.Context, s Store, text string, limit int, now time.Time) (Page, error) {
	c, err := parseCursor(text)
	if err != nil {
		return Page{}, err
	}
	found, at, here, err := s.Live(ctx, c.after, limit, now)
	if err != nil {
		return Page{}, err
	}
	first := c.low == 0
	if first && c.after.Seq > here.Low || c.low > here.Low {
		return Page{}, ErrFuture
	}
	if first {
		c.low = here.Low
	}
	p := Page{Found: found, Low: c.low}
	if len(found) == limit {
		last := at[len(at)-1]
		p.Next = strconv.FormatInt(c.low, 10) + "-" + strconv.FormatInt(last.Seq, 10) + "-" + last.Kind + "-" + last.Ref
	}
	return p, nil
}
