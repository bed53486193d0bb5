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
	"mintmark/issuer"
	"mintmark/upstream"
)

type accountPage struct {
	frame
	Person   person
	Verified bool
	Nav      []navItem
	Sessions []session
	More     bool // there are more sessions than are shown
	Linked   []linked
	Others   []provider // that can be linked
	Federate bool       // there are, or were, providers
	Action   string
	Session  string // the id of the session that the page is shown to
	Problem  *problem
	SignIn   string // the address at which to sign in again
}

// A navItem is an entry of the account pages' navigation.
type navItem struct {
	Text, Address string
	Here          bool
}

// accountNav is the account pages, in order.
var accountNav = []navItem{{Text: "Account", Address: PathAccount}, {Text: "API keys", Address: PathKeys}}

// nav returns the navigation of an account page, or nothing if there is nowhere else to go.
func (s *Site) nav(here string) []navItem {
	if s.APIKeys == nil {
		return nil
	}
	items := slices.Clone(accountNav)
	for i := range items {
		items[i].Here = items[i].Address == here
		items[i].Address = s.path(items[i].Address)
	}
	return items
}

// A session is how one is shown.
type session struct {
	ID, Number  string
	Browser     string // "Firefox on Linux"
	Address     string
	Seen, Began when
	By          string // "with Google", or empty
	Here        bool   // it is the one at this browser
}

// A linked is an identity of a person at a provider, as it is shown.
type linked struct {
	ProviderID, Subject string
	Number              string
	Title, Email        string
	Since, Used         when
	Off                 bool // the provider is disabled, or gone
	Kept                bool // its tokens are kept, for applications that act there
}

// A when is a time for people and for programs.
type when struct{ Text, Exact string }

func at(t time.Time) when {
	if t.IsZero() {
		return when{}
	}
	t = t.UTC()
	return when{t.Format("2 Jan 2006, 15:04 UTC"), t.Format(time.RFC3339)}
}

// manySessions is how many sessions the account page shows.
const manySessions = 100

// freshTime is how long ago somebody may have signed in to change how they sign in.
const freshTime = 10 * time.Minute

// Account is the page of a person about themselves: where they are signed in, and with which
// providers they can sign in. What it changes, it changes for the session that it was shown to.
func (s *Site) Account(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	now := time.Now()
	x, a, ok, err := s.Sessions.Current(r, now)
	if err != nil {
		return err
	}
	if !ok {
		sendTo(w, s.loginPath(upstream.Purpose{Return: PathAccount}, false))
		return nil
	}
	if r.Method != http.MethodPost {
		return s.showAccount(w, r, x, a, nil, http.StatusOK, now)
	}
	if form.Get("session") != x.ID {
		sendTo(w, s.path(PathAccount)) // the page was shown to somebody else, or long ago
		return nil
	}
	act, known := accountActs[form.Get("do")]
	switch {
	case !known:
		return refuse("This is not something that your account page asks for.")
	case act.fresh && !fresh(x, now):
		return s.showAccount(w, r, x, a, &problem{ID: "account-problem",
			Text: "To change how you sign in, sign in again first: it was more than ten minutes ago."}, http.StatusForbidden, now)
	}
	return act.do(s, w, r, form, x, a, now)
}

// accountActs is everything that the page can do, and whether it takes a fresh sign-in: what
// somebody at an unlocked screen could make a way in of.
var accountActs = map[string]struct {
	fresh bool
	do    func(s *Site, w http.ResponseWriter, r *http.Request, form url.Values, x accounts.Session, a accounts.Account, now time.Time) error
}{
	"end":        {false, (*Site).endOne},
	"end-others": {false, (*Site).endOthers},
	"link":       {true, (*Site).beginLink},
	"unlink":     {true, (*Site).unlink},
}

// fresh says whether somebody has just shown who they are. A provider that says when that was is
// held to it.
func fresh(x accounts.Session, now time.Time) bool {
	return now.Sub(x.AuthTime) <= freshTime && (x.ProvedAt.IsZero() || now.Sub(x.ProvedAt) <= freshTime+time.Minute)
}

func (s *Site) showAccount(w http.ResponseWriter, r *http.Request, x accounts.Session, a accounts.Account, p *problem, status int, now time.Time) error {
	page := accountPage{frame: s.frame("Your account"), Person: showPerson(a, x), Verified: a.EmailVerified, Nav: s.nav(PathAccount),
		Action: s.path(PathAccount), Session: x.ID, Problem: p}
	page.SignIn = withQuery(s.path(PathLogin), url.Values{"return_to": {PathAccount}, "again": {"1"}})
	if err := s.listSessions(r, &page, x, a, now); err != nil {
		return err
	}
	if err := s.listLinked(r, &page, a, now); err != nil {
		return err
	}
	return s.show(w, status, "account", page, allow{form: onwardOnly})
}

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

func (s *Site) listLinked(r *http.Request, page *accountPage, a accounts.Account, now time.Time) error {
	if s.Upstream == nil {
		return nil
	}
	links, err := s.Directory.Identities(r.Context(), a.ID)
	if err != nil {
		return err
	}
	able := s.providers(r.Context(), issuer.Pending{}, now)
	for i, l := range links {
		shown := linked{ProviderID: l.ProviderID, Subject: l.Subject, Number: strconv.Itoa(i), Title: "A provider that is switched off", Email: l.Email,
			Since: at(l.LinkedAt), Used: at(l.LastUsedAt), Off: true}
		for _, p := range able {
			if p.ID == l.ProviderID {
				shown.Title, shown.Off, shown.Kept = p.Label(), false, p.KeepTokens
			}
		}
		page.Linked = append(page.Linked, shown)
	}
	page.Others = s.buttons(able, upstream.Purpose{}, false)
	page.Federate = len(page.Others)+len(page.Linked) > 0
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

// beginLink sends the person to a provider, to link who they are there to this account.
func (s *Site) beginLink(w http.ResponseWriter, r *http.Request, form url.Values, x accounts.Session, a accounts.Account, now time.Time) error {
	to := upstream.Purpose{Return: PathAccount, LinkTo: a.ID, Session: x.ID}
	address, err := s.begin(w, r, form.Get("provider"), to, now)
	if err != nil {
		return err
	}
	sendTo(w, address)
	return nil
}

// link links who has arrived to the account that asked for it, if whoever asked is still signed
// in, at this browser.
func (s *Site) link(w http.ResponseWriter, r *http.Request, p upstream.Provider, i upstream.Identity, to upstream.Purpose, now time.Time) error {
	x, a, err := s.Sessions.Store.Session(r.Context(), to.Session)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		return refusal("session_ended", "", err)
	case err != nil:
		return err
	case a.ID != to.LinkTo || !a.DisabledAt.IsZero() || !s.Sessions.Alive(x, now):
		return refusal("session_ended", "", nil)
	}
	here, _, ok, err := s.Sessions.Current(r, now)
	if err != nil {
		return err
	}
	if !ok || here.ID != to.Session {
		return refusal("session_ended", "", errors.New("another session is at the browser"))
	}
	if err := s.Directory.Link(r.Context(), a.ID, p, i, now); err != nil {
		return notArrived(err)
	}
	if err := s.Upstream.Keep(r.Context(), a.ID, i, now); err != nil {
		return err
	}
	sendTo(w, s.path(PathAccount))
	return nil
}

// unlink takes a way to sign in away, unless it is the last one.
func (s *Site) unlink(w http.ResponseWriter, r *http.Request, form url.Values, x accounts.Session, a accounts.Account, now time.Time) error {
	err := s.Directory.Unlink(r.Context(), a.ID, form.Get("provider_id"), form.Get("subject"), now)
	switch {
	case errors.Is(err, accounts.ErrLastWay):
		return s.showAccount(w, r, x, a, &problem{ID: "account-problem",
			Text: "This is the only way you can sign in. Link another provider first, or have a password set."}, http.StatusConflict, now)
	case err != nil && !errors.Is(err, accounts.ErrNotFound):
		return err
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
