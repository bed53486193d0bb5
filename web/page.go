package web

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"mintmark/accounts"
	"mintmark/issuer"
)

//go:embed pages/*.html
var pageFiles embed.FS

// pages is every page: the name of its template, and the zero value of what it shows.
var pages = map[string]any{
	"login":   loginPage{},
	"consent": consentPage{},
	"logout":  logoutPage{},
	"setup":   setupPage{},
	"home":    homePage{},
	"prove":   provePage{},
	"account": accountPage{},
	"keys":    keysPage{},
	"error":   errorPage{},
}

func parsePages() (map[string]*template.Template, error) {
	parsed := make(map[string]*template.Template, len(pages))
	for name := range pages {
		t, err := template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html")
		if err != nil {
			return nil, err
		}
		parsed[name] = t
	}
	return parsed, nil
}

// A frame is what every page has.
type frame struct {
	Title string
	Site  string // the name of this server
	Host  string
	named map[string]string
	base  string
}

// Asset returns the path of a file of ours.
func (f frame) Asset(name string) string { return f.base + PathStatic + f.named[name] }

// SignIn is the path of the sign-in page.
func (f frame) SignIn() string { return f.base + PathLogin }

// SignOut is the path of the sign-out page.
func (f frame) SignOut() string { return f.base + PathLogout }

// Keys is the path of the page of the person's API keys.
func (f frame) Keys() string { return f.base + PathKeys }

// Account is the path of the person's own page.
func (f frame) Account() string { return f.base + PathAccount }

func (s *Site) frame(title string) frame {
	return frame{Title: title, Site: s.Name, Host: s.host, named: s.named, base: s.base}
}

// A person is how an account is shown.
type person struct {
	Name, Email string
	Session     string // the id of the session that shows it
}

// Initial is the first letter of the name or the address.
func (p person) Initial() string {
	c, _ := utf8.DecodeRuneInString(p.Name + p.Email)
	if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
		return "·"
	}
	return string(unicode.ToUpper(c))
}

func showPerson(a accounts.Account, x accounts.Session) person {
	return person{Name: a.Name, Email: a.Email, Session: x.ID}
}

// A client is how an application is shown. The name is what it says of itself; the host is
// where the browser goes, and that is proven.
type client struct{ Name, Host string }

func showClient(c issuer.Client, host string) client {
	if strings.TrimSpace(c.Name) == "" {
		c.Name = c.ID
	}
	return client{Name: c.Name, Host: host}
}

// A problem is a message about what was typed. It is shown beside its field, announced, and
// its field points to it.
type problem struct {
	ID    string
	Field string
	Text  string
}

// allow is what a page may do beyond showing itself.
type allow struct {
	// form is where the browser may go from the form of this page beyond our own origin: the
	// source expression of where the answer to the application goes.
	form string
	// script allows the scripts that we serve.
	script bool
}

// onward is where an application may send the browser in the same breath. Chromium and Safari
// hold the whole chain of redirects after a form against the form-action of the page that it
// was on. The redirect URI of an application is often not the end of it: a broker goes on to
// its own application, a proxy to the page that somebody wanted to see, a staging server to a
// developer's machine. If they were not allowed, the browser would stop there without a word,
// after the code was issued. Our templates hold no markup from outside; that is what keeps a
// form of somebody else off the page, and form-action is the second line only.
const onward = " https: http://localhost:* http://127.0.0.1:*"

// onwardOnly is the form of a page that answers no application, and may lead to a provider.
const onwardOnly = "https:"

// setHeaders gives an answer the headers of a page.
func setHeaders(h http.Header, allow allow) {
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
	switch {
	case strings.ContainsAny(allow.form, " ;,'\"\r\n\t"):
		// No origin is written so: it would be read as something else.
	case strings.Contains(allow.form, "["):
		// A literal IPv6 address can't be written in a policy: Chromium ignores the source.
		policy += " http:" + onward
	case allow.form != "":
		policy += " " + allow.form + onward
	}
	if allow.script {
		policy += "; script-src 'self'"
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: with it our own forms would come with "Origin: null", which browsers
	// without Sec-Fetch-Site could not tell from a form of another site. Nobody else sees the
	// address, which may hold a sealed request.
	h.Set("Referrer-Policy", "same-origin")
}

// show writes a page. It is complete before its first byte is sent.
func (s *Site) show(w http.ResponseWriter, status int, name string, page any, allow allow) error {
	var b bytes.Buffer
	if err := s.templates[name].ExecuteTemplate(&b, "layout", page); err != nil {
		return err
	}
	setHeaders(w.Header(), allow)
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	w.Write(b.Bytes()) // if nobody reads it, there is nobody to tell
	return nil
}
