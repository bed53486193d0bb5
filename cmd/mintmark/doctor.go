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
		Long: "Say what is wrong with a running server, as seen from here: through its public address, as applications see it. Exit code 1 if anything is.",
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
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// A patient is what the checks have found out so far.
type patient struct {
	at     *remote
	issuer string
	found  discovery
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
		if err != nil {
			detail = err.Error()
		}
		all = append(all, finding{c.name, err == nil, detail})
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
		if !f.OK {
			mark = "✗"
			bad++
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
	answer, err := p.at.do(ctx, http.MethodGet, "/info", nil)
	if err != nil {
		return "", err
	}
	info, err := parseObject(answer)
	p.issuer = plain(info.value("issuer"))
	return "version " + plain(info.value("version")), err
}

func (p *patient) clock(ctx context.Context) (string, error) {
	before := time.Now()
	answer, err := p.at.do(ctx, http.MethodGet, "/info", nil)
	if err != nil {
		return "", err
	}
	var info struct {
		Time time.Time `json:"time"`
	}
	if err := json.Unmarshal(answer, &info); err != nil {
		return "", err
	}
	trip := time.Since(before)
	skew := info.Time.Sub(before.Add(trip / 2)).Round(time.Millisecond)
	if skew.Abs() > maxSkew+trip/2 {
		return "", fmt.Errorf("the server's clock is %s off this one: let NTP set both", skew)
	}
	return "to " + skew.Abs().String(), nil
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
