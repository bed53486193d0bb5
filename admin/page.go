package admin

import (
	"encoding/base64"
	"strings"
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

// start returns the id after which the part begins. A cursor is opaque to callers and good
// for the list only that it came from.
func (p Paging) start(list string) (string, error) {
	if p.After == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(p.After)
	of, id, ok := strings.Cut(string(text), "\n")
	if err != nil || !ok || of != list || id == "" || !clean(id) {
		return "", refuse(badRequest, "The cursor is not one of this list.").field("query", "after", "is not the next of an answer of this list")
	}
	return id, nil
}

// part makes the answer of what was found, which is one more than was asked for if there is more.
func part[S, T any](p Paging, list string, found []S, id func(S) string, show func(S) T) *pageOutput[T] {
	page := Page[T]{Items: make([]T, 0, len(found))}
	for i, s := range found {
		if i == p.Limit {
			page.Next = base64.RawURLEncoding.EncodeToString([]byte(list + "\n" + id(found[i-1])))
			break
		}
		page.Items = append(page.Items, show(s))
	}
	return &pageOutput[T]{page}
}

type pageOutput[T any] struct{ Body Page[T] }
