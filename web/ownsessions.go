package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mintmark/accounts"
)

// A session is how one is shown.
type session struct {
	ID, Number  string
	Browser     string // "Firefox on Linux"
	Address     string
	Seen, Began when
	By          string // "with Google", or empty
	Here        bool   // it is the one at this browser
}

// manySessions is how many sessions the account page shows.
const manySessions = 100

func (s *Site) listSessions(r *http.Request, page *accountPage, here accounts.Session, a accounts.Account, now time.Time) error {
	found, err := s.Sessions.List(r.Context(), accounts.Page{Limit: 1000}, a.ID, now)
	if err != nil {
		return err
	}
	// The one at this browser first, then the one that was used last.
	slices.SortStableFunc(found, func(one, other accounts.Session) int {
		if (one.ID == here.ID) != (other.ID == here.ID) {
			return map[bool]int{true: -1, false: 1}[one.ID == here.ID]
		}
		return other.SeenAt.Compare(one.SeenAt)
	})
	for _, x := range found {
		if !s.Sessions.Alive(x, now) {
			continue
		}
		if len(page.Sessions) == manySessions {
			page.More = true
			break
		}
		shown := session{ID: x.ID, Number: strconv.Itoa(len(page.Sessions)), Browser: browserOf(x.UserAgent), Address: x.Address,
			Seen: at(x.SeenAt), Began: at(x.CreatedAt), By: x.IdP, Here: x.ID == here.ID}
		page.Sessions = append(page.Sessions, shown)
	}
	return nil
}

// endOne ends a session of the person. It is like revoking it: what applications got in it ends.
func (s *Site) endOne(w http.ResponseWriter, r *http.Request, form url.Values, x accounts.Session, a accounts.Account, now time.Time) error {
	ctx, id := r.Context(), form.Get("id")
	if id == x.ID {
		sendTo(w, s.path(PathLogout))
		return nil
	}
	found, owner, err := s.Sessions.Store.Session(ctx, id)
	if err == nil && owner.ID == a.ID && found.AccountID == a.ID {
		err = s.Sessions.End(ctx, nil, id, accounts.ReasonRevoked, now)
	}
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return err
	}
	sendTo(w, s.path(PathAccount)) // whatever it was, it is over
	return nil
}

// endOthers ends every session of the person but this one. One that begins meanwhile is found in
// the next round.
func (s *Site) endOthers(w http.ResponseWriter, r *http.Request, _ url.Values, x accounts.Session, a accounts.Account, now time.Time) error {
	ctx := r.Context()
	for range 10 {
		found, err := s.Sessions.List(ctx, accounts.Page{Limit: 1000}, a.ID, now)
		if err != nil {
			return err
		}
		ended := 0
		for _, other := range found {
			if other.ID == x.ID {
				continue
			}
			if err := s.Sessions.End(ctx, nil, other.ID, accounts.ReasonRevoked, now); err != nil && !errors.Is(err, accounts.ErrNotFound) {
				return err
			}
			ended++
		}
		if ended == 0 {
			break
		}
	}
	sendTo(w, s.path(PathAccount))
	return nil
}

// browserOf makes something to recognise of a User-Agent. The first match of each list wins:
// most browsers name the others too.
func browserOf(agent string) string {
	name := firstIn(agent, "Edg/", "Edge", "OPR/", "Opera", "SamsungBrowser", "Samsung Internet", "Firefox/", "Firefox", "Chromium", "Chromium",
		"Chrome/", "Chrome", "CriOS", "Chrome", "FxiOS", "Firefox", "Safari/", "Safari", "curl/", "curl")
	system := firstIn(agent, "Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "CrOS", "ChromeOS", "Windows", "Windows", "Mac OS X", "macOS", "Linux", "Linux")
	switch {
	case name != "" && system != "":
		return name + " on " + system
	case name+system != "":
		return name + system
	}
	return cmp.Or(strings.TrimSpace(agent[:min(len(agent), 40)]), "A browser that does not say what it is")
}

// firstIn takes pairs: what to look for, and what it means.
func firstIn(s string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.Contains(s, pairs[i]) {
			return pairs[i+1]
		}
	}
	return ""
}
