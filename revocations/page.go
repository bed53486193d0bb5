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
	// ErrEpoch: it is from another epoch. The database crashed, went back in time or is another
	// one: who has it must begin anew.
	ErrEpoch = errors.New("revocations: the cursor is from another epoch")
)

// A Page is a part of what is of interest after a cursor.
type Page struct {
	Found []Revocation
	// Here is the cursor to go on from when everything was read: the same for all pages of one reading.
	Here string
	// Next is the cursor of the next page; empty on the last.
	Next string
}

// A cursor is what its reader began to read at, and how far that reading has come.
type cursor struct {
	epoch string
	low   int64 // of the place of the first page; 0 until that is read
	after At
}

// parseCursor reads the cursor of a place, from which on everything is wanted, or the Next of a page:
// epoch.low, or epoch.low-seq-kind-ref.
func parseCursor(text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	epoch, rest, ok := strings.Cut(text, ".")
	if !ok || strings.Trim(epoch, "0123456789abcdef") != "" {
		epoch, rest = "", text // as older programs wrote it: of no epoch that there is
	}
	part := strings.SplitN(rest, "-", 4)
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
		return cursor{epoch: epoch, after: At{Seq: number[0]}}, nil
	case len(part) == 4 && len(text) < 400 && utf8.ValidString(text) && strings.IndexByte(text, 0) < 0:
		return cursor{epoch, number[0], At{number[1], part[2], part[3]}}, nil
	}
	return cursor{}, ErrCursor
}

// Read returns at most limit revocations that matter at a time after a cursor: "" for all that
// there are, the id of a message or the Here of a page for those from there on, or the Next of a page.
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
	if text != "" && c.epoch != here.Epoch || first && c.after.Seq > here.Low || c.low > here.Low {
		return Page{}, ErrEpoch
	}
	if !first {
		here.Low = c.low
	}
	p := Page{Found: found, Here: here.Cursor()}
	if len(found) == limit {
		last := at[len(at)-1]
		p.Next = p.Here + "-" + strconv.FormatInt(last.Seq, 10) + "-" + last.Kind + "-" + last.Ref
	}
	return p, nil
}
