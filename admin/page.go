package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// A Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Pass it as after to get the next part. Missing on the last part"`
}

// Paging asks for a part of a list.
type Paging struct {
	After string `query:"after" maxLength:"1000" doc:"The next of the answer before; empty: from the start"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"At most so many entries"`
}

// A reader is a list that is being read page by page.
type reader struct {
	list  string // its name: a cursor is good for the list only that it came from
	key   [32]byte
	after string // the id after which the part begins
	limit int
}

// reads checks the cursor that a caller sent back. All copies of the server know each
// other's, and what nobody of them made is refused.
func (a *api) reads(ctx context.Context, list string, p Paging) (reader, error) {
	key, err := a.Keys.Named(ctx, "cursor")
	if err != nil {
		return reader{}, err
	}
	r := reader{list: list, key: key, limit: p.Limit}
	if p.After == "" {
		return r, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(p.After)
	if err != nil || len(text) <= macLen || !hmac.Equal(text[:macLen], r.mac(string(text[macLen:]))) {
		return reader{}, refuse(badRequest, "The cursor is not one of this list.").field("query", "after", "is not the next of an answer of this list")
	}
	r.after = string(text[macLen:])
	return r, nil
}

// more is how many entries to look for: one that is not shown says that there are more.
func (r reader) more() int { return r.limit + 1 }

const macLen = 16

func (r reader) mac(id string) []byte {
	h := hmac.New(sha256.New, r.key[:])
	h.Write([]byte(r.list + "\n" + id))
	return h.Sum(nil)[:macLen]
}

// part makes the answer of what was found.
func part[S, T any](r reader, found []S, id func(S) string, show func(S) T) *pageOutput[T] {
	page := Page[T]{Items: make([]T, 0, len(found))}
	for i, s := range found {
		if i == r.limit {
			last := id(found[i-1])
			page.Next = base64.RawURLEncoding.EncodeToString(append(r.mac(last), last...))
			break
		}
		page.Items = append(page.Items, show(s))
	}
	return &pageOutput[T]{page}
}

type pageOutput[T any] struct{ Body Page[T] }
