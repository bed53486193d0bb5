package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/upstream"
)

type provePage struct {
	frame
	Provider string // its title
	Email    string
	Arrival  string // sealed
	Action   string
	Another  string // the address of the other ways to sign in
	Problem  *problem
}

// proveTime is how long somebody has to type the password.
const proveTime = 10 * time.Minute

// An arrival is somebody who came from a provider, and whose address belongs to an account that
// is there. It travels through the page, sealed, bound to the browser by a cookie: what the
// password proves is that this identity belongs to that account, and not any other.
type arrival struct {
	Provider  string            `json:"p"`
	Identity  upstream.Identity `json:"i"`
	To        upstream.Purpose  `json:"t"`
	Tokens    *carried          `json:"k,omitempty"`
	AccountID string            `json:"a"`
	At        int64             `json:"at"` // Unix seconds
	Browser   []byte            `json:"b"`  // SHA-256 of the cookie
}

// carried is what the provider gave us to act there for the person. It is kept once they have proved who
// they are, and not before: the browser that came with it carries it until then, sealed.
type carried struct {
	Access    string    `json:"a"`
	Refresh   string    `json:"r,omitempty"`
	Type      string    `json:"t"`
	Scopes    []string  `json:"s"`
	ExpiresAt time.Time `json:"e,omitzero"`
}

// mostCarried bounds what a page carries. Who has longer tokens brings new ones with the next sign-in.
const mostCarried = 16 << 10

// carry takes the tokens of an identity apart.
func carry(i *upstream.Identity) *carried {
	t := i.Tokens
	i.Tokens = nil // they don't print, and so can't be sealed with the rest
	if t == nil || len(t.Access.Reveal())+len(t.Refresh.Reveal()) > mostCarried {
		return nil
	}
	return &carried{t.Access.Reveal(), t.Refresh.Reveal(), t.Type, t.Scopes, t.ExpiresAt}
}

// tokens puts them together again.
func (c *carried) tokens() *upstream.Tokens {
	if c == nil {
		return nil
	}
	return &upstream.Tokens{Access: secret.Wrap(c.Access), Refresh: secret.Wrap(c.Refresh), Type: c.Type, Scopes: c.Scopes, ExpiresAt: c.ExpiresAt}
}

// arrivalAAD is the associated data of a sealed arrival.
const arrivalAAD = "arrival"

// askProof shows the page on which somebody proves that the account is theirs.
func (s *Site) askProof(w http.ResponseWriter, r *http.Request, p upstream.Provider, i upstream.Identity, to upstream.Purpose, accountID string, now time.Time) error {
	cookie := base64.RawURLEncoding.EncodeToString(secret.Bytes(32))
	sum := sha256.Sum256([]byte(cookie))
	tokens := carry(&i)
	x := arrival{Provider: p.Name, Identity: i, Tokens: tokens, To: to, AccountID: accountID, At: now.Unix(), Browser: sum[:]}
	plain, err := json.Marshal(x)
	if err == nil && base64.RawURLEncoding.EncodedLen(len(plain)) > maxForm-8<<10 {
		x.Tokens = nil // the form could not be sent
		plain, err = json.Marshal(x)
	}
	if err != nil {
		return err
	}
	http.SetCookie(w, s.arrivalCookie(cookie, int(proveTime/time.Second)))
	sealed := base64.RawURLEncoding.EncodeToString(s.sealer.Seal(plain, arrivalAAD))
	return s.show(w, http.StatusOK, "prove", s.provePage(p, i, to, sealed), allow{form: onwardOnly})
}

func (s *Site) provePage(p upstream.Provider, i upstream.Identity, to upstream.Purpose, sealed string) provePage {
	return provePage{frame: s.frame("You have an account here"), Provider: p.Label(), Email: i.Email, Arrival: sealed,
		Action: s.path(PathLogin) + "/" + p.Name + "/prove", Another: s.loginPath(to, true)}
}

func (s *Site) arrivalCookie(value string, age int) *http.Cookie {
	name := "mintmark_arrival"
	if s.secure {
		name = "__Host-" + name
	}
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: s.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// Prove takes the password of the account that an identity is to be linked to, and links it:
// PathLogin/{provider}/prove. Attempts are limited like those of the sign-in page, and together
// with them.
func (s *Site) Prove(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	name, now := nameIn(r.URL.Path, "/prove"), time.Now()
	x, err := s.openArrival(r, form.Get("arrival"), name, now)
	if err == nil {
		err = s.proves(w, r, x, form.Get("arrival"), form.Get("password"), now)
	}
	if err != nil {
		return s.refused(err, name, x.To)
	}
	return nil
}

// openArrival opens what askProof sealed, for the browser and the provider that it was sealed for.
func (s *Site) openArrival(r *http.Request, sealed, name string, now time.Time) (arrival, error) {
	var x arrival
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	var plain []byte
	if err == nil {
		plain, err = s.sealer.Open(raw, arrivalAAD)
	}
	if err == nil {
		err = json.Unmarshal(plain, &x)
	}
	if err != nil || x.Provider != name || s.Upstream == nil {
		return arrival{}, refusal("proof_too_late", "", err)
	}
	cookie, err := r.Cookie(s.arrivalCookie("", 0).Name)
	if err != nil {
		return x, refusal("other_browser", "", err)
	}
	sum := sha256.Sum256([]byte(cookie.Value))
	switch {
	case subtle.ConstantTimeCompare(sum[:], x.Browser) != 1:
		return x, refusal("other_browser", "", nil)
	case now.Sub(time.Unix(x.At, 0)) > proveTime:
		return x, refusal("proof_too_late", "", nil)
	}
	return x, nil
}

// proves checks the password, asks the policy once more, and links.
func (s *Site) proves(w http.ResponseWriter, r *http.Request, x arrival, sealed, password string, now time.Time) error {
	ctx := r.Context()
	p, err := s.still(ctx, x.Provider, x.Identity.ProviderID, now)
	if err != nil {
		return err
	}
	a, err := s.Directory.Account(ctx, x.AccountID)
	if errors.Is(err, accounts.ErrNotFound) {
		return refusal("account_disabled", "", err)
	}
	if err != nil {
		return err
	}
	page := s.provePage(p, x.Identity, x.To, sealed)
	a, status, err := s.password(w, r, a.Email, password, &page.Problem, now)
	switch {
	case err != nil:
		return err
	case page.Problem != nil:
		if page.Problem.Field != "" {
			page.Problem.Text = "The password is wrong."
		}
		return s.show(w, status, "prove", page, allow{form: onwardOnly})
	case a.ID != x.AccountID:
		return refusal("proof_too_late", "", errors.New("the address belongs to another account now"))
	}
	// The policy may be another one than ten minutes ago, or the identity linked by now.
	known, _, err := s.Directory.Arrive(ctx, p, x.Identity, now)
	must, proved := errors.AsType[*accounts.MustProve](err)
	switch {
	case proved && must.AccountID == a.ID:
		if err := s.Directory.Link(ctx, a.ID, p, x.Identity, now); err != nil {
			return notArrived(err)
		}
	case proved:
		return refusal("proof_too_late", "", errors.New("the address belongs to another account now"))
	case err != nil:
		return notArrived(err)
	case known.ID != a.ID:
		return refusal("identity_taken", "", nil)
	}
	x.Identity.Tokens = x.Tokens.tokens()
	if err := s.Upstream.Keep(ctx, a.ID, x.Identity, now); err != nil {
		return notArrived(err)
	}
	http.SetCookie(w, s.arrivalCookie("", -1))
	how := proofOf(p, x.Identity, now)
	if !slices.Contains(how.AMR, "pwd") {
		how.AMR = append(how.AMR, "pwd")
	}
	how.ProvedAt = now // here
	return s.signInAs(w, r, a, how, x.To, now)
}
