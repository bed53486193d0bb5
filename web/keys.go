package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mintmark/apikeys"
	"mintmark/internal/secret"
)

// PathKeys is the page of a person's own API keys.
const PathKeys = PathAccount + "/keys"

type keysPage struct {
	frame
	Nav     []navItem
	Keys    []ownKey
	More    bool
	Scopes  []choice
	Lives   []choice
	Action  string
	Session string // the id of the session that the page is shown to
	Made    *madeKey
	Name    string
	Allow   string
	Problem *problem
	Again   string // the address at which to sign in again, if that is the problem
}

// Says is the problem of a field, or nil.
func (p keysPage) Says(field string) *problem {
	if p.Problem != nil && p.Problem.Field == field {
		return p.Problem
	}
	return nil
}

// An ownKey is how a key is shown.
type ownKey struct {
	ID, Number, Name string
	Status           string // empty: it is good
	Scopes, From     string
	Used, Ends       when
	Replaced         bool
}

// A choice is something to choose.
type choice struct {
	Field, Value, Text string
	Chosen             bool
}

// A madeKey is a key that was just made, with the one copy of it.
type madeKey struct{ Name, Text string }

const manyKeys = 200

// ownLives are the lives that a key can be made with, in days.
var ownLives = []int{7, 30, 90, 180, 365}

// usualLife is the life that is chosen if nobody chooses.
const usualLife = "90"

// Keys is the page of a person about their own API keys.
func (s *Site) Keys(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	form, x, a, ok, err := s.ownPage(w, r, PathKeys, now)
	if !ok {
		return err
	}
	by := apikeys.By{Actor: a.ID, Via: "account page", Address: s.ClientAddress(r), RequestID: s.requestID(r), At: now}
	own := s.APIKeys.Own(a.ID, by)
	page := keysPage{frame: s.frame("Your API keys"), Nav: s.nav(PathKeys), Action: s.path(PathKeys), Session: x.ID}
	for _, scope := range own.Scopes() {
		field := "scope-" + strconv.Itoa(len(page.Scopes))
		page.Scopes = append(page.Scopes, choice{field, scope, scope, form.Get(field) == scope})
	}
	for _, days := range ownLives {
		if life := time.Duration(days) * 24 * time.Hour; life <= own.Longest() {
			value := strconv.Itoa(days)
			chosen := value == form.Get("life") || form.Get("life") == "" && value == usualLife
			page.Lives = append(page.Lives, choice{"life", value, value + " days", chosen})
		}
	}
	if r.Method != http.MethodPost {
		return s.showKeys(w, r, page, own, http.StatusOK, now)
	}
	if form.Get("session") != x.ID {
		sendTo(w, s.path(PathKeys)) // the page was shown to somebody else, or long ago
		return nil
	}
	act, known := keyActs[form.Get("do")]
	if !known {
		return refuse("This is not something that the page of your keys asks for.")
	}
	page.Name, page.Allow = form.Get("name"), form.Get("allow")
	if act.fresh && !fresh(x, now) {
		page.Problem = &problem{ID: "keys-problem", Text: "To make a key, sign in again first: it was more than ten minutes ago."}
		page.Again = withQuery(s.path(PathLogin), url.Values{"return_to": {PathKeys}, "again": {"1"}})
		return s.showKeys(w, r, page, own, http.StatusForbidden, now)
	}
	made, err := act.do(own, r, form, page, now)
	if wrong, status := keyProblem(err); wrong != nil {
		page.Problem = wrong
		return s.showKeys(w, r, page, own, status, now)
	}
	switch {
	case err != nil:
		return err
	case made == nil:
		sendTo(w, s.path(PathKeys))
		return nil
	}
	page.Made, page.Name, page.Allow = made, "", ""
	return s.showKeys(w, r, page, own, http.StatusOK, now)
}

// keyActs is everything that the page can do, and whether it takes a fresh sign-in: a new key is a
// way in that somebody at an unlocked screen could carry away.
var keyActs = map[string]struct {
	fresh bool
	do    func(own apikeys.Own, r *http.Request, form url.Values, page keysPage, now time.Time) (*madeKey, error)
}{
	"make":   {true, makeKey},
	"rotate": {true, rotateKey},
	"revoke": {false, revokeKey},
}

func makeKey(own apikeys.Own, r *http.Request, form url.Values, page keysPage, now time.Time) (*madeKey, error) {
	n := apikeys.New{Name: strings.TrimSpace(form.Get("name")), Allow: strings.FieldsFunc(form.Get("allow"), func(c rune) bool {
		return c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t'
	})}
	for _, scope := range page.Scopes {
		if scope.Chosen {
			n.Scopes = append(n.Scopes, scope.Value)
		}
	}
	for _, life := range page.Lives {
		if life.Chosen {
			days, _ := strconv.Atoi(life.Value) // it is one of ours
			n.ExpiresAt = now.Add(time.Duration(days) * 24 * time.Hour)
		}
	}
	k, text, err := own.Make(r.Context(), n)
	return shownOnce(k, text, err)
}

// ownGrace is how long a key that was replaced goes on to work.
const ownGrace = 24 * time.Hour

func rotateKey(own apikeys.Own, r *http.Request, form url.Values, _ keysPage, _ time.Time) (*madeKey, error) {
	k, text, err := own.Rotate(r.Context(), form.Get("id"), ownGrace)
	return shownOnce(k, text, err)
}

func revokeKey(own apikeys.Own, r *http.Request, form url.Values, _ keysPage, _ time.Time) (*madeKey, error) {
	_, err := own.Revoke(r.Context(), form.Get("id"), "by its owner", false)
	if errors.Is(err, apikeys.ErrNotFound) {
		err = nil // whatever it was, it is over
	}
	return nil, err
}

func shownOnce(k apikeys.Key, text secret.Token, err error) (*madeKey, error) {
	if err != nil {
		return nil, err
	}
	return &madeKey{k.Name, text.Reveal()}, nil
}

// keyProblem is what to tell the person about an error, and the status; nil: nothing.
func keyProblem(err error) (*problem, int) {
	if wrong, ok := errors.AsType[*apikeys.Invalid](err); ok {
		fields := map[string]string{"name": "name", "allow": "allow"}
		title := map[string]string{"name": "The name", "allow": "The list of networks", "scopes": "The list of rights", "expires_at": "Its end"}[wrong.Field]
		if title == "" {
			title = wrong.Field
		}
		return &problem{ID: "keys-problem", Field: fields[wrong.Field], Text: title + " " + wrong.Problem + "."}, http.StatusUnprocessableEntity
	}
	switch {
	case errors.Is(err, apikeys.ErrFull):
		return &problem{ID: "keys-problem", Text: "You have as many keys as this server allows. Revoke some; those that were made today count until tomorrow."}, http.StatusConflict
	case errors.Is(err, apikeys.ErrConflict), errors.Is(err, apikeys.ErrNotFound):
		return &problem{ID: "keys-problem", Text: "This key was replaced or revoked already."}, http.StatusConflict
	}
	return nil, 0
}

func (s *Site) showKeys(w http.ResponseWriter, r *http.Request, page keysPage, own apikeys.Own, status int, now time.Time) error {
	after := ""
	for len(page.Keys) < manyKeys {
		found, err := own.List(r.Context(), apikeys.Page{After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, k := range found {
			after = k.ID
			if shown, ok := showKey(k, now); ok && len(page.Keys) < manyKeys {
				shown.Number = strconv.Itoa(len(page.Keys))
				page.Keys = append(page.Keys, shown)
			} else if ok {
				page.More = true
			}
		}
		if len(found) < 500 {
			break
		}
	}
	return s.show(w, status, "keys", page, allow{})
}

// showKey is how a key is shown that is not over.
func showKey(k apikeys.Key, now time.Time) (ownKey, bool) {
	shown := ownKey{ID: k.ID, Name: k.Name, Scopes: strings.Join(k.Scopes, ", "), From: strings.Join(k.Allow, ", "),
		Used: at(k.LastUsedAt), Ends: at(k.ExpiresAt), Replaced: k.ReplacedBy != ""}
	switch status := k.Status(now); status {
	case "active":
		if shown.Replaced {
			shown.Status, shown.Ends = "replaced", at(k.GraceUntil)
		}
	case "disabled", "pending":
		shown.Status = status
	default:
		return ownKey{}, false
	}
	return shown, true
}
