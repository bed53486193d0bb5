//go:build linux

package faults

import (
	"strings"
	"testing"
	"time"
)

// token makes a refresh token of a generation as the oracle reads it.
func token(generation string) string {
	return "mm_rt_" + strings.Repeat("A", 22) + "00000" + generation + "rest"
}

// at makes a request that was sent and answered at given seconds.
func at(from, to int, op, on string, got Entry) *Request {
	r := &Request{Entry: Entry{Op: op, On: on, Arg: "user:app"}, From: time.Duration(from) * time.Second, To: never}
	if to > 0 {
		r.To, r.Got = time.Duration(to)*time.Second, &got
	}
	return r
}

var (
	code    = "mm_ac_" + strings.Repeat("A", 22) + "rest"
	given   = at(0, 1, opAuthorize, "user", Entry{Status: 303, Got: code})
	refused = Entry{Status: 400, Error: "invalid_grant"}
)

func good(got string) Entry { return Entry{Status: 200, Got: got} }

// An oracle that is always content proves nothing: each of these stories is a promise broken, or
// one that only looks like it.
func TestTheOracle(t *testing.T) {
	bought := at(2, 3, opRedeem, code, good(token("1")))
	for _, tt := range []struct {
		name  string
		story []*Request
		want  string // the rule, or ""
	}{
		{"a good life", []*Request{given, bought,
			at(4, 5, opRefresh, token("1"), good(token("2"))), at(6, 7, opRefresh, token("2"), good(token("3")))}, ""},
		{"an answer lost and the same successor again", []*Request{given, bought,
			at(4, 5, opRefresh, token("1"), Entry{Status: 503, Retry: "2"}), at(6, 7, opRefresh, token("1"), good(token("2")))}, ""},
		{"a code bought twice", []*Request{given, bought, at(2, 4, opRedeem, code, good(token("1")))}, "once only"},
		{"an assertion used twice", []*Request{at(1, 2, opAssert, "j", good("")), at(3, 4, opAssert, "j", good(""))}, "once only"},
		{"one question with two codes", []*Request{at(1, 2, opApprove, "q", good("c1")), at(1, 3, opApprove, "q", good("c2"))}, "once only"},
		{"one question with one code and an error page", []*Request{at(1, 2, opApprove, "q", good("c1")), at(1, 3, opApprove, "q", Entry{Status: 400, Error: "400"})}, ""},
		{"two successors", []*Request{given, bought,
			at(4, 5, opRefresh, token("1"), good(token("2"))), at(4, 5, opRefresh, token("1"), good(token("2")+"other"))}, "one successor"},
		{"a generation left out", []*Request{given, bought, at(4, 5, opRefresh, token("1"), good(token("3")))}, "one successor"},
		{"a spent token that is good again", []*Request{given, bought,
			at(4, 5, opRefresh, token("1"), good(token("2"))), at(6, 7, opRefresh, token("2"), good(token("3"))),
			at(8, 9, opRefresh, token("1"), good(token("2")))}, "a spent refresh token is not good"},
		{"refused for nothing", []*Request{given, bought, at(4, 5, opRefresh, token("1"), refused)}, "nobody loses a family for nothing"},
		{"refused after a lost answer", []*Request{given, bought,
			at(4, 5, opRefresh, token("1"), Entry{Broken: "reset"}), at(6, 7, opRefresh, token("1"), refused)}, "nobody loses a family for nothing"},
		{"refused after a thief", []*Request{given, bought,
			at(4, 5, opRefresh, token("1"), good(token("2"))), at(6, 7, opRefresh, token("2"), good(token("3"))),
			at(8, 9, opRefresh, token("1"), refused), at(10, 11, opRefresh, token("3"), refused)}, ""},
		{"a revocation that did not last", []*Request{given, bought,
			at(4, 5, opRevoke, token("1"), good("")), at(6, 7, opRefresh, token("1"), good(token("2")))}, "no family is resurrected"},
		{"a revocation at the same time", []*Request{given, bought,
			at(4, 6, opRevoke, token("1"), good("")), at(5, 7, opRefresh, token("1"), good(token("2")))}, ""},
		{"a revocation of which nobody knows, and then it lives", []*Request{given, bought,
			at(4, 5, opRevoke, token("1"), Entry{Status: 503, Retry: "2"}), at(6, 7, opRefresh, token("1"), good(token("2")))}, ""},
		{"refused, and then it lives", []*Request{given, bought,
			at(4, 5, opRevoke, token("1"), Entry{Status: 503, Retry: "2"}), at(6, 7, opRefresh, token("1"), refused),
			at(8, 9, opRefresh, token("1"), good(token("2")))}, "no family is resurrected"},
		{"a person locked out whose family lives", []*Request{given, bought,
			at(4, 5, opDisableUser, "user", good("")), at(6, 7, opRefresh, token("1"), good(token("2")))}, "no family is resurrected"},
		{"a consent taken back before it was given", []*Request{at(0, 1, opRevokeGrant, "user:app", good("")),
			at(2, 3, opAuthorize, "user", Entry{Status: 303, Got: code}), at(4, 5, opRedeem, code, good(token("1")))}, ""},
		{"an access token revoked and good", []*Request{
			at(1, 2, opRevokeAccess, "a", good("")), at(3, 4, opIntrospect, "a", good("true"))}, "nothing revoked is accepted"},
		{"a client disabled and served within the second", []*Request{
			at(1, 2, opDisable, "c", good("")), at(3, 4, opService, "c", good(""))}, ""},
		{"a client disabled and served later", []*Request{
			at(1, 2, opDisable, "c", good("")), at(4, 5, opService, "c", good(""))}, "nothing revoked is accepted"},
		{"a 500", []*Request{at(1, 2, opService, "c", Entry{Status: 500, Error: "server_error"})}, "nobody sees a 500"},
		{"a 503 without advice", []*Request{at(1, 2, opService, "c", Entry{Status: 503})}, "a refusal for now says when to come back"},
		{"signed in and forgotten", []*Request{at(1, 2, opSignIn, "user", Entry{Status: 303}),
			at(3, 4, opAuthorize, "user", Entry{Status: 303, Arg: "/login"})}, "an acknowledged sign-in is remembered"},
	} {
		for i, r := range tt.story {
			r.ID = int64(i + 1)
		}
		o := Oracle{Elsewhere: time.Second}
		found := o.Judge(tt.story)
		switch {
		case tt.want == "" && len(found) > 0:
			t.Errorf("%s: %v", tt.name, found)
		case tt.want != "" && len(found) == 0:
			t.Errorf("%s: the oracle is content", tt.name)
		case tt.want != "" && found[0].Rule != tt.want:
			t.Errorf("%s: %v, want %s", tt.name, found, tt.want)
		}
	}
}
