package conformance

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// A Person sits at a browser without scripts: it reads pages, fills in their forms and
// follows where they lead.
type Person struct {
	Email string

	t    testing.TB
	http *http.Client
	Seen []string // the address of every page, newest last; for failures
}

// A Page is what the browser shows.
type Page struct {
	URL    *url.URL
	Status int
	Header http.Header
	Body   string
}

// loopbackOnly refuses any other address, and trusts any certificate there.
func loopbackOnly() *http.Transport {
	dial := (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	return &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return nil, fmt.Errorf("the test browser does not leave this machine: %s", address)
			}
			return dial(ctx, network, address)
		},
	}
}

// NewPerson returns a person at a fresh browser.
func NewPerson(t testing.TB, email string) *Person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &Person{Email: email, t: t, http: &http.Client{Jar: jar, Transport: loopbackOnly(), Timeout: 30 * time.Second}}
	p.http.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > 20 {
			return fmt.Errorf("more than 20 redirects")
		}
		// A stop where nobody listens: the story reads the address.
		if r.URL.Scheme != "http" && r.URL.Scheme != "https" || strings.HasSuffix(r.URL.Hostname(), ".example") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return p
}

// On returns the same browser, with its cookies, whose requests to the issuer reach another
// copy of the server: what a load balancer does.
func (p *Person) On(s *Server) *Person {
	moved := *p
	client := *p.http
	client.Transport = via{to: s, next: p.http.Transport}
	moved.http, moved.Seen = &client, nil
	return &moved
}

// Clone returns another browser with the cookies that this one would send to an address: what
// somebody has who copied them.
func (p *Person) Clone(address string) *Person {
	p.t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	q := NewPerson(p.t, p.Email)
	q.http.Jar.SetCookies(to, p.http.Jar.Cookies(to))
	return q
}

// Cookies is what this browser would send to an address, as one Cookie field.
func (p *Person) Cookies(address string) string {
	p.t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	var pairs []string
	for _, c := range p.http.Jar.Cookies(to) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

type via struct {
	to   *Server
	next http.RoundTripper
}

func (v via) RoundTrip(r *http.Request) (*http.Response, error) {
	issuer, err := url.Parse(v.to.Issuer)
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(v.to.Address)
	if err != nil || r.URL.Host != issuer.Host {
		return v.next.RoundTrip(r)
	}
	moved := r.Clone(r.Context())
	moved.Host, moved.URL.Host = issuer.Host, address.Host
	resp, err := v.next.RoundTrip(moved)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// Visit opens an address.
func (p *Person) Visit(address string) Page {
	p.t.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.do(r)
}

// Post sends a form as a page of another site would: without our Lax cookies, which a
// browser keeps back there.
func (p *Person) Post(address string, form url.Values) Page {
	p.t.Helper()
	r, err := http.NewRequest("POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://app.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return p.do(r)
}

func (p *Person) do(r *http.Request) Page {
	p.t.Helper()
	// What tells a browser from a program: some servers only redirect the former.
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	resp, err := p.http.Do(r)
	if err != nil {
		p.t.Fatalf("%s %s: %v\nseen: %s", r.Method, r.URL, err, strings.Join(p.Seen, "\n      "))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		p.t.Fatal(err)
	}
	page := Page{URL: resp.Request.URL, Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	if to, err := resp.Location(); err == nil {
		page.URL = to // where it was sent, and nobody is there
	}
	p.Seen = append(p.Seen, fmt.Sprint(page.Status, " ", page.URL))
	return page
}

// Submit sends the form on the page that holds the element with the id button, as a
// click on it would, with the given values filled in.
func (p *Person) Submit(page Page, button string, values ...string) Page {
	p.t.Helper()
	form, pressed := findForm(page, button)
	if form == nil {
		p.t.Fatalf("no form with #%s on %s:\n%s", button, page.URL, page.Body)
	}
	fields := fieldsOf(form)
	if name := attr(pressed, "name"); name != "" {
		fields.Set(name, attr(pressed, "value"))
	}
	for i := 0; i+1 < len(values); i += 2 {
		fields.Set(values[i], values[i+1])
	}
	target, err := page.URL.Parse(attr(form, "action"))
	if err != nil {
		p.t.Fatal(err)
	}
	if where := attr(pressed, "formaction"); where != "" {
		if target, err = page.URL.Parse(where); err != nil {
			p.t.Fatal(err)
		}
	}
	if !strings.EqualFold(attr(form, "method"), "post") {
		target.RawQuery = fields.Encode()
		return p.Visit(target.String())
	}
	return p.send(page, target.String(), fields)
}

// Follow signs in, consents and posts form_post pages until the browser shows something
// else: the application, or an error.
func (p *Person) Follow(page Page) Page {
	p.t.Helper()
	for range 8 {
		switch {
		case has(page, "login-submit"):
			page = p.Submit(page, "login-submit", "username", p.Email, "password", Password)
		case has(page, "consent-approve"):
			page = p.Submit(page, "consent-approve")
		case has(page, "form-post-submit"):
			page = p.Submit(page, "form-post-submit")
		default:
			return page
		}
	}
	p.t.Fatalf("the browser goes in circles:\n%s", strings.Join(p.Seen, "\n"))
	return page
}

// SignIn opens an authorization address, does what is asked and returns where that led.
func (p *Person) SignIn(address string) Page {
	p.t.Helper()
	return p.Follow(p.Visit(address))
}

// Has says whether the page has an element with that id.
func (g Page) Has(id string) bool { return has(g, id) }

func has(page Page, id string) bool {
	found := false
	walk(parse(page), func(n *html.Node) { found = found || attr(n, "id") == id })
	return found
}

func parse(page Page) *html.Node {
	n, err := html.Parse(strings.NewReader(page.Body))
	if err != nil {
		return &html.Node{}
	}
	return n
}

func findForm(page Page, id string) (form, pressed *html.Node) {
	walk(parse(page), func(n *html.Node) {
		if attr(n, "id") != id {
			return
		}
		pressed = n
		for up := n; up != nil; up = up.Parent {
			if up.Data == "form" {
				form = up
			}
		}
		if name := attr(n, "form"); name != "" && form == nil {
			walk(parse(page), func(f *html.Node) {
				if f.Data == "form" && attr(f, "id") == name {
					form = f
				}
			})
		}
	})
	return form, pressed
}

func fieldsOf(form *html.Node) url.Values {
	fields := url.Values{}
	walk(form, func(n *html.Node) {
		name := attr(n, "name")
		if n.Data != "input" || name == "" {
			return
		}
		switch attr(n, "type") {
		case "submit", "button", "image", "file":
		case "checkbox", "radio":
			if hasAttr(n, "checked") {
				fields.Add(name, attr(n, "value"))
			}
		default:
			fields.Add(name, attr(n, "value"))
		}
	})
	return fields
}

func walk(n *html.Node, visit func(*html.Node)) {
	if n.Type == html.ElementNode {
		visit(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, visit)
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// SubmitFirst sends the first form of a page, which may be of somebody else, with the given values
// filled in: what a person does who sees one form and one button.
func (p *Person) SubmitFirst(page Page, values ...string) Page {
	p.t.Helper()
	var form *html.Node
	walk(parse(page), func(n *html.Node) {
		if n.Data == "form" && form == nil {
			form = n
		}
	})
	if form == nil {
		p.t.Fatalf("no form on %s (%d):\n%s", page.URL, page.Status, page.Body)
	}
	fields := fieldsOf(form)
	for i := 0; i+1 < len(values); i += 2 {
		fields.Set(values[i], values[i+1])
	}
	return p.send(page, attr(form, "action"), fields)
}

// Click follows the link with an id.
func (p *Person) Click(page Page, id string) Page {
	p.t.Helper()
	href := ""
	walk(parse(page), func(n *html.Node) {
		if attr(n, "id") == id {
			href = attr(n, "href")
		}
	})
	to, err := page.URL.Parse(href)
	if err != nil || href == "" {
		p.t.Fatalf("no link #%s on %s (%d):\n%s", id, page.URL, page.Status, page.Body)
	}
	return p.Visit(to.String())
}

// send posts a form of the page that is shown.
func (p *Person) send(page Page, action string, fields url.Values) Page {
	p.t.Helper()
	target, err := page.URL.Parse(action)
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := http.NewRequest("POST", target.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", page.URL.Scheme+"://"+page.URL.Host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return p.do(r)
}
