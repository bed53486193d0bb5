package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"
)

func tokenInspect(a *access) *cobra.Command {
	var issuer string
	c := &cobra.Command{
		Use: "inspect [TOKEN]", Short: "Decode a JWT and verify it with the issuer's keys; it is sent nowhere", Args: cobra.MaximumNArgs(1),
		Long: "Decode a JWT and verify it with the issuer's keys. The token stays here: only the keys are fetched.\n\n" +
			"Without TOKEN, or with -, it is read from the standard input. Exit code 1 if the token is not good.",
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		out, err := a.printer(c)
		if err != nil {
			return err
		}
		if out.form == "env" {
			return usageError("--output is table or json here")
		}
		jwt := "-"
		if len(args) == 1 {
			jwt = args[0]
		}
		if jwt == "-" {
			content, err := readInput(c.InOrStdin(), "-")
			if err != nil {
				return err
			}
			jwt = string(content)
		}
		jwt = strings.TrimSpace(jwt)
		seen, err := decode(jwt)
		if err != nil {
			return err
		}
		at, issuer, err := a.issuer(issuer)
		if err != nil {
			return err
		}
		keys, err := at.keys(c.Context(), issuer)
		if err != nil {
			return err
		}
		seen.Problems = seen.judge(jwt, issuer, keys, time.Now())
		seen.Valid = len(seen.Problems) == 0
		if err := out.inspection(seen); err != nil {
			return err
		}
		if !seen.Valid {
			return fmt.Errorf("the token is not good: %s", strings.Join(seen.Problems, "; "))
		}
		return nil
	}
	c.Flags().StringVar(&issuer, "issuer", "", "the issuer, if it is not the server")
	return c
}

// An inspection is what a JWT says and what is wrong with it.
type inspection struct {
	Valid    bool            `json:"valid"`
	Problems []string        `json:"problems,omitempty"`
	Header   json.RawMessage `json:"header"`
	Claims   json.RawMessage `json:"claims"`
}

// decode takes a JWT apart. It believes nothing.
func decode(jwt string) (inspection, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		if strings.HasPrefix(jwt, "mm_") {
			return inspection{}, errors.New("this is not a JWT: only the server can say what is behind it (POST /introspect)")
		}
		return inspection{}, errors.New("this is not a JWT: it does not have three parts")
	}
	header, err1 := base64.RawURLEncoding.DecodeString(parts[0])
	claims, err2 := base64.RawURLEncoding.DecodeString(parts[1])
	_, err3 := parseObject(header)
	_, err4 := parseObject(claims)
	if errors.Join(err1, err2, err3, err4) != nil {
		return inspection{}, errors.New("this is not a JWT: its parts are not JSON in base64url")
	}
	return inspection{Header: header, Claims: claims}, nil
}

// judge says everything that is wrong with a JWT, for an issuer with these keys at that time.
func (i inspection) judge(jwt, issuer string, keys jose.JSONWebKeySet, now time.Time) (problems []string) {
	var claims struct {
		Issuer    string   `json:"iss"`
		Expires   *float64 `json:"exp"`
		NotBefore *float64 `json:"nbf"`
	}
	if err := json.Unmarshal(i.Claims, &claims); err != nil {
		problems = append(problems, "iss, exp or nbf have the wrong type")
	}
	if problem := signature(jwt, keys); problem != "" {
		problems = append(problems, problem)
	}
	if claims.Issuer != issuer {
		problems = append(problems, fmt.Sprintf("iss is %q and not %q", printable(claims.Issuer), issuer))
	}
	at := func(seconds float64) time.Time { return time.Unix(int64(seconds), 0) }
	switch {
	case claims.Expires == nil:
		problems = append(problems, "it has no exp")
	case !now.Before(at(*claims.Expires)):
		problems = append(problems, "it expired "+now.Sub(at(*claims.Expires)).Round(time.Second).String()+" ago")
	}
	if claims.NotBefore != nil && now.Before(at(*claims.NotBefore)) {
		problems = append(problems, "it is not valid yet")
	}
	return problems
}

// signature returns what is wrong with the signature of a JWT, or "".
func signature(jwt string, keys jose.JSONWebKeySet) string {
	signed, err := jose.ParseSignedCompact(jwt, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return "it is not signed with ES256 or RS256"
	}
	header := signed.Signatures[0].Protected
	known := keys.Key(header.KeyID)
	if header.KeyID == "" || len(known) != 1 {
		return fmt.Sprintf("the issuer has no key with the kid %q", printable(header.KeyID))
	}
	if known[0].Algorithm != header.Algorithm {
		return "its alg is not that of the key"
	}
	if _, err := signed.Verify(known[0]); err != nil {
		return "the signature is wrong"
	}
	return ""
}

// keys fetches the JWKS of an issuer.
func (s *remote) keys(ctx context.Context, issuer string) (jose.JSONWebKeySet, error) {
	d, err := s.discover(ctx, issuer)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	body, err := s.get(ctx, d.JWKS)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(body, &keys); err != nil {
		return jose.JSONWebKeySet{}, fmt.Errorf("%s is not a JWK set: %w", d.JWKS, err)
	}
	return keys, nil
}

// inspection shows a token: times as times.
func (p *printer) inspection(seen inspection) error {
	if p.form == "json" {
		text, err := json.Marshal(seen)
		if err != nil {
			return err
		}
		return p.json(text)
	}
	for _, part := range []json.RawMessage{seen.Header, seen.Claims} {
		members, err := parseObject(part)
		if err != nil {
			return err
		}
		for _, m := range members {
			value := plain(m.value)
			var seconds int64
			if strings.Contains(" exp iat nbf auth_time updated_at ", " "+m.name+" ") && json.Unmarshal(m.value, &seconds) == nil {
				value += "  " + time.Unix(seconds, 0).UTC().Format(time.RFC3339)
			}
			if err := p.line(fmt.Sprintf("%-12s %s", printable(m.name), value)); err != nil {
				return err
			}
		}
	}
	if seen.Valid {
		p.note("The signature, the issuer and the times are good.")
	}
	return nil
}
