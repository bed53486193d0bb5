package upstream

import (
	"strings"
	"testing"
	"time"
)

// A rule is about somebody: what everybody has whose tokens are of the same issuer says nothing.
func TestTheConditionsOfARule(t *testing.T) {
	const github = "https://token.actions.githubusercontent.com"
	for _, tt := range []struct{ name, issuer, claims, want string }{
		{"a subject", "https://corp.example", "sub=build", ""},
		{"a claim of the issuer's own", "https://corp.example", "team=blue", ""},
		{"a repository and a branch", github, "repository=acme/app ref=refs/heads/main", ""},
		{"all of an owner", github, "sub=repo:acme/*", ""},
		{"all of a repository", github, "sub=repo:acme/app:*", ""},
		{"all of an owner, by another claim", github, "repository=acme/*", ""},
		{"pods of a namespace", "https://kubernetes.default.svc", "sub=system:serviceaccount:prod:*", ""},
		{"nothing", github, "", "says who it is"},
		{"only the issuer", github, "iss=" + github + " aud=x", "says who it is"},
		{"a branch, which everybody has", github, "ref=refs/heads/main event_name=push", "says who it is"},
		{"who started it, in whatever repository", github, "actor=ada", "says who it is"},
		{"a claim that GitHub does not have", github, "team=blue", "One of: sub, repository"},
		{"an enterprise's own issuer at GitHub", github + "/acme", "team=blue", "One of: sub, repository"},
		{"somebody's at GitLab", "https://gitlab.com", "user_login=ada", "One of: sub, project_path"},
		{"every repository", github, "sub=repo:*", "only a word before"},
		{"everything", github, "sub=*", "that is everybody"},
		{"the beginning of a name", github, "sub=repo:acme*", "where a part ends"},
		{"in the middle", github, "sub=repo:*/app:*", "at the end"},
		{"what is true of many", "https://corp.example", "email_verified=true", "says who it is"},
		{"a path with an empty step", "https://corp.example", "a..b=x", "no text"},
		{"only separators", github, "repository=/*", "nothing before"},
	} {
		claims := map[string]string{}
		for one := range strings.FieldsSeq(tt.claims) {
			claim, value, _ := strings.Cut(one, "=")
			claims[claim] = value
		}
		if got := checkConditions(claims, tt.issuer); got != tt.want && (tt.want == "" || !strings.Contains(got, tt.want)) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestATokenThatARuleCovers(t *testing.T) {
	const token = `{"sub":"repo:acme/app:ref:refs/heads/main","repository":"acme/app","repository_id":7,"private":true,
		"groups":["ops"],"none":null,"kubernetes.io":{"namespace":"prod","pod":{"name":"web-1"}}}`
	claims, err := parseDocument([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		claims string
		want   bool
	}{
		{"repository=acme/app sub=repo:acme/app:*", true},
		{"sub=repo:acme/*", true},
		{"private=true", true},
		{"kubernetes.io.namespace=prod", true},
		{"kubernetes.io.pod.name=web-1", true},
		{"repository=acme/ap", false},
		{"repository=Acme/App", false},
		{"repository=acme/app sub=repo:acme/other:*", false},
		{"repository=acme/app/*", false},
		{"sub=repo:acme/app:ref:refs/heads/main:*", false},
		{"repository_id=7", false}, // a number is no text
		{"groups=ops", false},
		{"kubernetes.io=prod", false},
		{"none=null", false},
		{"nothing=x", false},
	} {
		r := TokenRule{Claims: map[string]string{}}
		for one := range strings.FieldsSeq(tt.claims) {
			claim, value, _ := strings.Cut(one, "=")
			r.Claims[claim] = value
		}
		if got := r.covers(claims); got != tt.want {
			t.Errorf("%s: %v", tt.claims, got)
		}
	}
	if (&TokenRule{}).covers(claims) {
		t.Error("a rule without conditions covers a token")
	}
}

// A token that does not say when its person signed in there proves nothing fresher than itself.
func TestWhenThePersonOfATokenHasProvedWhoTheyAre(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		claims string
		said   time.Time
		want   time.Time
	}{
		{`{"iat":1799996400}`, time.Time{}, now.Add(-time.Hour)},
		{`{"iat":1799996400}`, now.Add(-time.Minute), now.Add(-time.Minute)},
		{`{"iat":1800000030}`, time.Time{}, now},
		{`{}`, time.Time{}, time.Unix(1, 0)},
	} {
		claims, err := parseDocument([]byte(tt.claims))
		if err != nil {
			t.Fatal(err)
		}
		if got := provedBy(tt.said, claims, now); !got.Equal(tt.want) {
			t.Errorf("%s, which says %v: %v, want %v", tt.claims, tt.said, got, tt.want)
		}
	}
}
