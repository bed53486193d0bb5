package upstream

import (
	"cmp"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"mintmark/internal/secret"
)

// The limits of what a browser keeps for us. All cookies of a request together must fit into
// its header, with what else is there: the server takes 32 KiB.
const (
	attemptAge   = 10 * time.Minute
	maxAttempts  = 3        // of one browser at the same time, besides a new one
	pieceLen     = 3500     // browsers keep cookies of 4 KiB
	maxPieces    = 5        // of one attempt
	maxKept      = 16 << 10 // of all attempts, besides a new one
	attemptIDLen = 22       // of secret.NewID: sorts by time
	stateLen     = attemptIDLen + 22
)

// An attempt is a sign-in between Begin and Finish. Only the browser keeps it, sealed: nothing of
// ours grows with the number of those who begin and never come back.
type attempt struct {
	Provider string `json:"p"` // its id
	Version  string `json:"v"` // what the row said, see versionOf
	Nonce    string `json:"n"`
	Verifier string `json:"k"` // of PKCE
	Begun    int64  `json:"b"` // Unix microseconds
	MaxAge   *int64 `json:"m,omitempty"`
	Purpose
}

func (a *attempt) begun() time.Time { return time.UnixMicro(a.Begun) }

// An attempt's cookies are named for the first part of its state, and its content is sealed with
// a key that comes from all of it: one attempt's cookie does not open with another's state.
// There is a key for each, so that no number of them is too many for random nonces.
func (g *Registry) sealer(state string) (*secret.Sealer, error) {
	key, err := hkdf.Key(sha256.New, g.StateKey[:], nil, "mintmark upstream attempt "+state, 32)
	if err != nil {
		return nil, err
	}
	return secret.NewSealer(key)
}

// newState returns the name of a new attempt, which nobody can guess.
func newState() string { return secret.NewID("") + secret.Random62(stateLen-attemptIDLen) }

// isState says whether a text could be one of ours.
func isState(s string) bool { return len(s) == stateLen && secret.IsBase62(s) }

// cookiePrefix is what the names of our cookies begin with. The prefix __Host- keeps other hosts
// of the same site from setting them.
func (g *Registry) cookiePrefix() string {
	if g.secure {
		return "__Host-mintmark_signin_"
	}
	return "mintmark_signin_"
}

// keep gives the browser an attempt.
func (g *Registry) keep(w http.ResponseWriter, r *http.Request, state string, a *attempt) error {
	plain, err := json.Marshal(a)
	if err != nil {
		return err
	}
	sealer, err := g.sealer(state)
	if err != nil {
		return err
	}
	text := base64.RawURLEncoding.EncodeToString(sealer.Seal(plain, state))
	pieces := slices.Collect(slices.Chunk([]byte(text), pieceLen))
	if len(pieces) > maxPieces {
		return refuse("too_long", nil, nil)
	}
	g.sweep(w, r, len(text))
	for i, piece := range pieces {
		value := string(piece)
		if i == 0 {
			value = strconv.Itoa(len(pieces)) + value
		}
		g.setCookie(w, g.cookieName(state, i), value, int(attemptAge/time.Second))
	}
	return nil
}

// cookieName names a piece of an attempt.
func (g *Registry) cookieName(state string, piece int) string {
	name := g.cookiePrefix() + state[:attemptIDLen]
	if piece > 0 {
		name += "." + strconv.Itoa(piece)
	}
	return name
}

// setCookie sets a cookie, or takes it away. It comes when the browser goes here, from wherever: Lax.
func (g *Registry) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: g.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// open returns the attempt that a browser kept under a state, or false. It is not spent by that.
func (g *Registry) open(r *http.Request, state string) (*attempt, bool) {
	first, ok := cookie(r, g.cookieName(state, 0))
	if !ok || first == "" || first[0] < '1' || first[0] > '0'+maxPieces {
		return nil, false
	}
	text := first[1:]
	for i := 1; i < int(first[0]-'0'); i++ {
		piece, ok := cookie(r, g.cookieName(state, i))
		if !ok || len(text)+len(piece) > maxPieces*pieceLen {
			return nil, false
		}
		text += piece
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, false
	}
	sealer, err := g.sealer(state)
	if err != nil {
		return nil, false
	}
	plain, err := sealer.Open(sealed, state)
	if err != nil {
		return nil, false
	}
	a := new(attempt)
	if err := json.Unmarshal(plain, a); err != nil {
		return nil, false
	}
	return a, true
}

// forget takes an attempt's cookies away.
func (g *Registry) forget(w http.ResponseWriter, r *http.Request, state string) {
	for i := range maxPieces {
		if name := g.cookieName(state, i); i == 0 || len(r.CookiesNamed(name)) > 0 {
			g.setCookie(w, name, "", -1)
		}
	}
}

// sweep takes the cookies of old attempts away, if there are many. Otherwise whoever sends
// a browser here again and again, or a person with many windows, would fill its Cookie header
// until no request of it is read any more.
func (g *Registry) sweep(w http.ResponseWriter, r *http.Request, added int) {
	sizes := map[string]int{}
	names := map[string][]string{}
	for _, c := range r.Cookies() {
		rest, ours := strings.CutPrefix(c.Name, g.cookiePrefix())
		if !ours {
			continue
		}
		id, _, _ := strings.Cut(rest, ".")
		sizes[id] += len(c.Name) + len(c.Value)
		names[id] = append(names[id], c.Name)
	}
	ids := make([]string, 0, len(sizes))
	for id := range sizes {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(b, a) }) // the latest first
	room := maxKept - added
	for n, id := range ids {
		if room -= sizes[id]; n < maxAttempts && room >= 0 {
			continue
		}
		for _, name := range names[id] {
			g.setCookie(w, name, "", -1)
		}
	}
}

// cookie returns the value of the one cookie of a name. Two mean that somebody else set one; which
// is which can't be told. The header is read here because [http.Request.Cookies] leaves out
// the ones that it can't read.
func cookie(r *http.Request, want string) (string, bool) {
	found, n := "", 0
	for _, header := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(header, ";") {
			name, value, _ := strings.Cut(textproto.TrimString(pair), "=")
			if textproto.TrimString(name) == want {
				found, n = value, n+1
			}
		}
	}
	return found, n == 1
}

// digest is the SHA-256 of a text, in base64url.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var errState = errors.New("the state is not one of ours")
