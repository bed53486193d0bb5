package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"
)

// maxSkew is how far apart the clocks may be. Verifiers allow for a minute, together.
const maxSkew = 30 * time.Second

func doctorCommand() *cobra.Command {
	a := &access{}
	c := &cobra.Command{
		Use: "doctor", Short: "Say what is wrong with a running server, as seen from here", Args: cobra.NoArgs,
		Long: "Say what is wrong with a running server, as seen from here: through its public address, as applications see it. A ⚠ is something to look at; exit code 1 if there is a ✗.",
		RunE: func(c *cobra.Command, args []string) error {
			out, err := a.printer(c)
			if err != nil {
				return err
			}
			if out.form == "env" {
				return usageError("--output is table or json here")
			}
			at, err := a.connect(c.ErrOrStderr())
			if err != nil {
				return err
			}
			return out.findings(examine(c.Context(), at))
		},
	}
	a.flags(c)
	return c
}

// A finding is the result of one check.
type finding struct {
	Check   string `json:"check"`
	OK      bool   `json:"ok"`
	Warning bool   `json:"warning,omitempty"` // it works, and should be looked at all the same
	Detail  string `json:"detail,omitempty"`
}

// A warning is the error of a check that found something to look at, and nothing broken.
type warning string

// Error returns what was found.
func (w warning) Error() string { return string(w) }

// A patient is what the checks have found out so far.
type patient struct {
	at     *remote
	issuer string
	info   info
	found  discovery
}

// An info is what a server says about itself to whoever has a key.
type info struct {
	Issuer   string    `json:"issuer"`
	Version  string    `json:"version"`
	Time     time.Time `json:"time"`
	Database *struct {
		Engine   string   `json:"engine"`
		Version  string   `json:"version"`
		Durable  bool     `json:"durable"`
		Problems []string `json:"problems"`
	} `json:"database"`
	asked, answered time.Time // by the clock here
}

// checkups is everything that is looked at, in order. A check returns what it saw, or what is
// wrong and how to put it right.
var checkups = []struct {
	name  string
	check func(*patient, context.Context) (string, error)
}{
	{"the server answers", (*patient).alive},
	{"the server is ready", (*patient).ready},
	{"the API key is good", (*patient).known},
	{"the clocks agree", (*patient).clock},
	{"the database keeps what it promised", (*patient).database},
	{"the issuer is https", (*patient).https},
	{"discovery works through the public address", (*patient).discovery},
	{"the endpoints are below the issuer", (*patient).endpoints},
	{"the signing keys are published", (*patient).jwks},
}

func examine(ctx context.Context, at *remote) []finding {
	p := &patient{at: at}
	var all []finding
	for _, c := range checkups {
		detail, err := c.check(p, ctx)
		caution, careful := errors.AsType[warning](err)
		if err != nil {
			detail = err.Error()
		}
		if careful {
			detail, err = string(caution), nil
		}
		all = append(all, finding{c.name, err == nil, careful, detail})
		if len(all) == 1 && err != nil {
			break // nothing else can be said
		}
	}
	return all
}

func (p *printer) findings(all []finding) error {
	bad := 0
	for _, f := range all {
		mark := "✓"
		switch {
		case !f.OK:
			mark = "✗"
			bad++
		case f.Warning:
			mark = "⚠"
		}
		if p.form == "json" {
			continue
		}
		line := mark + " " + f.Check
		if f.Detail != "" {
			line += ": " + f.Detail
		}
		if err := p.line(line); err != nil {
			return err
		}
	}
	if p.form == "json" {
		text, err := json.Marshal(all)
		if err != nil {
			return err
		}
		if err := p.json(text); err != nil {
			return err
		}
	}
	switch bad {
	case 0:
		return nil
	case 1:
		return errors.New("one thing is wrong")
	}
	return fmt.Errorf("%d things are wrong", bad)
}

func (p *patient) alive(ctx context.Context) (string, error) {
	_, err := p.at.get(ctx, p.at.url+"/healthz")
	return p.at.url, err
}

func (p *patient) ready(ctx context.Context) (string, error) {
	_, err := p.at.get(ctx, p.at.url+"/readyz")
	return "", err
}

func (p *patient) known(ctx context.Context) (string, error) {
	p.info.asked = time.Now()
	answer, err := p.at.do(ctx, http.MethodGet, "/info", nil)
	if err != nil {
		return "", err
	}
	p.info.answered = time.Now()
	if err := json.Unmarshal(answer, &p.info); err != nil {
		return "", fmt.Errorf("%s does not say who it is: %w", p.at.url, err)
	}
	p.issuer = printable(p.info.Issuer)
	return "version " + printable(p.info.Version), nil
}

func (p *patient) clock(context.Context) (string, error) {
	if p.info.Time.IsZero() {
		return "", errors.New("the server's clock is not known")
	}
	trip := p.info.answered.Sub(p.info.asked)
	skew := p.info.Time.Sub(p.info.asked.Add(trip / 2)).Round(time.Millisecond)
	if skew.Abs() > maxSkew+trip/2 {
		return "", fmt.Errorf("the server's clock is %s off this one: let NTP set both", skew)
	}
	return "to " + skew.Abs().String(), nil
}

func (p *patient) database(context.Context) (string, error) {
	d := p.info.Database
	if d == nil {
		return "", warning("the server does not tell")
	}
	name := map[string]string{"sqlite": "SQLite", "postgres": "PostgreSQL"}[d.Engine] + " " + printable(d.Version)
	found := printable(strings.Join(d.Problems, " "))
	switch {
	case !d.Durable:
		return "", errors.New(found)
	case found != "":
		return "", warning(name + ": " + found)
	}
	return name, nil
}

func (p *patient) https(context.Context) (string, error) {
	u, err := url.Parse(p.issuer)
	switch {
	case p.issuer == "" || err != nil:
		return "", errors.New("the issuer is not known")
	case u.Scheme != "https" && loopback(u.Hostname()):
		return p.issuer + " (plain http, on this machine only)", nil
	case u.Scheme != "https":
		return "", fmt.Errorf("%s is not: put TLS in front and change the issuer before applications store it", p.issuer)
	}
	return p.issuer, nil
}

func (p *patient) discovery(ctx context.Context) (string, error) {
	if p.issuer == "" {
		return "", errors.New("the issuer is not known")
	}
	var err error
	p.found, err = p.at.discover(ctx, p.issuer)
	if err != nil {
		return "", fmt.Errorf("%w; does the proxy pass %s on to this server?", err, p.issuer)
	}
	return p.issuer + "/.well-known/openid-configuration", nil
}

func (p *patient) endpoints(context.Context) (string, error) {
	d := p.found
	if d.Issuer == "" {
		return "", errors.New("discovery does not say where they are")
	}
	for _, at := range []string{d.Authorization, d.Token, d.UserInfo, d.JWKS} {
		if at == "" || !strings.HasPrefix(at, p.issuer+"/") {
			return "", fmt.Errorf("%q is not", at)
		}
	}
	return "", nil
}

func (p *patient) jwks(ctx context.Context) (string, error) {
	if p.found.JWKS == "" {
		return "", errors.New("discovery does not say where they are")
	}
	body, err := p.at.get(ctx, p.found.JWKS)
	if err != nil {
		return "", err
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(body, &keys); err != nil {
		return "", fmt.Errorf("%s is not a JWK set", p.found.JWKS)
	}
	byAlg := map[string]int{}
	for _, key := range keys.Keys {
		byAlg[key.Algorithm]++
	}
	for _, alg := range []string{"ES256", "RS256"} {
		if byAlg[alg] == 0 {
			return "", fmt.Errorf("there is no %s key among them", alg)
		}
	}
	return fmt.Sprintf("%d ES256, %d RS256", byAlg["ES256"], byAlg["RS256"]), nil
}
