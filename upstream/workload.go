package upstream

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mintmark/internal/secret"
)

// A TokenRule says which programs a token is about, and which API key it is as good as: a job of a
// CI system, a pod of a cluster. The program holds no secret; the key says what it may do.
type TokenRule struct {
	// Claims must all be in the token: from the name of a claim, or a path with dots as in Mapping, to its
	// value. A value that ends with /* or :* is that of every text that begins so and goes on. One of them must say who
	// it is: sub, or another that the issuer puts there and its customers don't choose.
	Claims map[string]string `json:"claims"`
	// Key is the id of an API key of a service account.
	Key string `json:"key"`
	// Reusable tokens work until they end, and not once: for issuers that put them into a file
	// for an hour, as Kubernetes does.
	Reusable bool `json:"reusable,omitempty"`
}

// The limits of token rules.
const (
	maxConditions = 10 // of one rule
	keyIDLen      = 11 // bytes of the id of an API key
)

// everybodys are claims that say nothing about who it is: they are the same in the tokens of every customer
// of an issuer, or anybody's to choose: every repository in the world has a branch main.
var everybodys = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "azp", "typ", "scope", "scp", "nonce", "acr", "amr", "auth_time", "ver",
	"ref", "ref_type", "ref_protected", "base_ref", "head_ref", "sha", "event_name", "environment", "workflow", "workflow_ref", "workflow_sha",
	"job_workflow_ref", "job_workflow_sha", "run_id", "run_number", "run_attempt", "runner_environment", "repository_visibility",
	"actor", "actor_id", "pipeline_source", "pipeline_id", "job_id", "ref_path"}

// shared are issuers that have more customers than one, and what says there whose program it is.
var shared = []struct {
	issuer string
	claims []string
}{
	// https://docs.github.com/en/actions/reference/security/oidc
	{"https://token.actions.githubusercontent.com", []string{"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise_id"}},
	// https://docs.gitlab.com/ci/secrets/id_token_authentication/
	{"https://gitlab.com", []string{"sub", "project_path", "project_id", "namespace_path", "namespace_id"}},
	{"https://accounts.google.com", []string{"sub"}},
}

// checkTokenRules says what is wrong with the rules of a row.
func checkTokenRules(p *Provider) string {
	switch {
	case len(p.TokenRules) > maxTexts:
		return fmt.Sprintf("are more than %d", maxTexts)
	case len(p.TokenRules) > 0 && len(p.TokenAudiences) == 0:
		return "are for tokens that programs bring along: token_audiences say for whom those must be"
	case len(p.TokenRules) > 0 && kinds[p.Kind].connector:
		return "are for tokens that are JWTs, and a connector's are not"
	}
	for _, r := range p.TokenRules {
		if _, ok := secret.ParseBase62(r.Key); len(r.Key) != keyIDLen || !ok {
			return "each need the id of an API key: `mintmark keys add NAME --owner SERVICE --scope … --quiet` makes one and shows nothing but its id"
		}
		if problem := checkConditions(r.Claims, p.KnownIssuer()); problem != "" {
			return problem
		}
	}
	return ""
}

func checkConditions(claims map[string]string, issuer string) string {
	if len(claims) > maxConditions {
		return fmt.Sprintf("have more than %d claims", maxConditions)
	}
	who := false
	for claim, value := range claims {
		begins, wild := strings.CutSuffix(value, "*")
		switch {
		case claim == "" || strings.Contains(claim, "|") || slices.Contains(strings.Split(claim, "."), "") && !strings.Contains(claim, "://") || len(claim) > maxText || len(value) > maxText || !utf8.ValidString(claim+value):
			return "have a claim, or a value, that is empty, too long or no text"
		case strings.Contains(begins, "*"):
			return "take * at the end of a value only"
		case value == "" || wild && begins == "":
			return "have an empty value, or *, for " + claim + ": that is everybody"
		case wild && strings.Trim(begins[len(begins)-1:], "/:") != "":
			return "take * after / or : only, where a part ends: " + begins + "* would be the beginning of a stranger's name, too"
		case wild && !strings.ContainsAny(strings.TrimRight(begins, "/:"), "/:") && begins[len(begins)-1] == ':':
			return "have only a word before the * of " + claim + ", which says what kind of thing it is and not whose"
		case wild && strings.Trim(begins, "/:") == "":
			return "have nothing before the * of " + claim
		}
		who = who || !slices.Contains(everybodys, claim) && value != "true" && value != "false"
	}
	if !who {
		return "each need a claim that says who it is, such as sub: iss and aud are the same for every customer of an issuer"
	}
	for _, s := range shared {
		if (issuer == s.issuer || strings.HasPrefix(issuer, s.issuer+"/")) && !slices.ContainsFunc(s.claims, func(claim string) bool { return claims[claim] != "" }) {
			return "each need a claim that says who it is: all customers of " + s.issuer + " have that issuer. One of: " + strings.Join(s.claims, ", ")
		}
	}
	return ""
}

// covers says whether a token is of the programs that a rule is about.
func (r *TokenRule) covers(claims document) bool {
	for claim, want := range r.Claims {
		value := claims.at(claim)
		text, isText := value.(string)
		if yes, isBool := value.(bool); isBool {
			text, isText = strconv.FormatBool(yes), true
		}
		begins, wild := strings.CutSuffix(want, "*")
		if !isText || text != want && !(wild && strings.HasPrefix(text, begins) && text != begins) {
			return false
		}
	}
	return len(r.Claims) > 0
}

// A Workload is a program that a token is about.
type Workload struct {
	Key       string    // the id of the API key that it is as good as
	Subject   string    // who it is there
	ExpiresAt time.Time // when its token ends
}

// Workload says which program a token is about that the program itself brings along: by the first of the
// issuer's [Provider.TokenRules] that covers it. It is [Registry.Outside] otherwise; a token
// that no rule covers stays unspent, and so does one for which may returns an error, which is then
// what Workload returns.
func (g *Registry) Workload(ctx context.Context, token string, may func(Provider, Workload) error, now time.Time) (Provider, Workload, error) {
	var w Workload
	p, err := g.brought(ctx, token, now, func(t *talk, _ places, claims document) (once bool, err error) {
		at := slices.IndexFunc(t.p.TokenRules, func(r TokenRule) bool { return r.covers(claims) })
		if at < 0 {
			return false, fmt.Errorf("%w: no rule of %s covers its claims", ErrOutside, t.p.Name)
		}
		w.Key, w.Subject = t.p.TokenRules[at].Key, claims.text("sub")
		w.ExpiresAt, _ = claims.moment("exp")
		if err := may(*t.p, w); err != nil {
			return false, err
		}
		return !t.p.TokenRules[at].Reusable, nil
	})
	if err != nil {
		return p, Workload{}, err
	}
	return p, w, nil
}
