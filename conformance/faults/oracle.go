//go:build linux

package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Violation is a promise that was not kept.
type Violation struct {
	Rule string
	What string
}

func (v Violation) String() string { return v.Rule + ": " + v.What }

// An Oracle judges a journal. It knows what a client knows, and nothing of the server's inside.
type Oracle struct {
	// Elsewhere is how long after its acknowledged end a client may still get tokens, at copies
	// that have not heard of it. Everything else that is revoked is refused at once.
	Elsewhere time.Duration
	// Late is whether clocks differ so much that what is refused may just have come too late for the
	// copy that was asked. Such a refusal ends nothing.
	Late bool

	all      []*Request
	given    map[string]*Request // by the code
	families map[string]*history // by the authorization
	ended    map[string]time.Duration
	found    []Violation
}

// A history is what was done with one authorization.
type history struct {
	id        string
	begun     *Request // whose answer was the code
	redeem    []*Request
	refresh   []*Request
	kills     []*Request // requests that may have ended it
	dead      time.Duration
	why       string
	highest   int64 // the newest generation that was given out
	newest    string
	successor map[string]string
}

// Judge returns every promise that the journal shows broken.
func (o *Oracle) Judge(all []*Request) []Violation {
	o.all, o.families, o.found = all, map[string]*history{}, nil
	o.gather()
	for _, r := range all {
		o.answered(r)
	}
	o.onceOnly()
	for _, id := range slices.Sorted(keysOf(o.families)) {
		o.family(o.families[id])
	}
	o.afterTheEnd()
	return o.found
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (o *Oracle) broken(rule, what string, args ...any) {
	o.found = append(o.found, Violation{rule, fmt.Sprintf(what, args...)})
}

// authorizationOf is the public part of a code or a refresh token, "mm_xx_" and 22 characters.
func authorizationOf(token string) string {
	if len(token) < 28 || !strings.HasPrefix(token, "mm_") {
		return ""
	}
	return token[6:28]
}

// generationOf is what follows it in a refresh token: six digits of base 62.
func generationOf(token string) int64 {
	if len(token) < 34 {
		return 0
	}
	var n int64
	for _, c := range token[28:34] {
		n = n*62 + int64(strings.IndexRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c))
	}
	return n
}

func (o *Oracle) history(token string) *history {
	id := authorizationOf(token)
	h := o.families[id]
	if h == nil {
		h = &history{id: id, dead: never, successor: map[string]string{}}
		o.families[id] = h
	}
	return h
}

// gather sorts requests to the families that they are about.
func (o *Oracle) gather() {
	grants := map[string][]*history{} // by "person:application"
	o.given = map[string]*Request{}
	for _, r := range o.all {
		if r.Got != nil && (r.Op == opAuthorize || r.Op == opApprove || r.Op == opSignIn) {
			o.given[r.Got.Got] = r
		}
	}
	for _, r := range o.all {
		switch r.Op {
		case opRedeem:
			h := o.history(r.On)
			h.begun = o.given[r.On]
			h.redeem = append(h.redeem, r)
			if !slices.Contains(grants[r.Arg], h) {
				grants[r.Arg] = append(grants[r.Arg], h)
			}
		case opRefresh:
			o.history(r.On).refresh = append(o.history(r.On).refresh, r)
		case opRevoke:
			o.history(r.On).kills = append(o.history(r.On).kills, r)
		}
	}
	for _, r := range o.all {
		switch r.Op {
		case opRevokeGrant:
			for _, h := range grants[r.On] {
				h.kills = append(h.kills, r)
			}
		case opDisableUser:
			for grant, of := range grants {
				if strings.HasPrefix(grant, r.On+":") {
					for _, h := range of {
						h.kills = append(h.kills, r)
					}
				}
			}
		}
	}
}

// answered judges an answer by itself.
func (o *Oracle) answered(r *Request) {
	if r.Got == nil || r.Got.Status == 0 {
		return
	}
	switch {
	case r.Got.Status == 503 && r.Got.Retry == "":
		o.broken("a refusal for now says when to come back", "%s (request %d) got 503 without Retry-After", r.Op, r.ID)
	case r.Got.Status >= 500 && r.Got.Status != 503:
		o.broken("nobody sees a 500", "%s (request %d) got %d", r.Op, r.ID, r.Got.Status)
	case r.Got.Status == 429:
		o.broken("nobody is turned away", "%s (request %d) got 429", r.Op, r.ID)
	}
	if r.Op == opAuthorize && r.OK() && r.Got.Arg == "/login" && o.signedIn(r) {
		o.broken("an acknowledged sign-in is remembered", "request %d of person %s was sent to the sign-in page", r.ID, r.On)
	}
}

// signedIn says whether a sign-in of the person of a request was acknowledged before it.
func (o *Oracle) signedIn(r *Request) bool {
	return slices.ContainsFunc(o.all, func(s *Request) bool {
		return s.Op == opSignIn && s.On == r.On && s.OK() && s.To < r.From
	})
}

// onceOnly judges what may succeed once.
func (o *Oracle) onceOnly() {
	oks, codes := map[string]int{}, map[string]int64{}
	for _, r := range o.all {
		if !r.OK() {
			continue
		}
		switch r.Op {
		case opRedeem, opAssert:
			oks[r.Op+" "+r.On]++
		case opApprove:
			if r.Got.Got != "" {
				oks[r.Op+" "+r.On]++
			}
		}
		if (r.Op == opApprove || r.Op == opAuthorize || r.Op == opSignIn) && r.Got.Got != "" {
			if other, ok := codes[r.Got.Got]; ok {
				o.broken("every answer has a code of its own", "requests %d and %d got the same code", other, r.ID)
			}
			codes[r.Got.Got] = r.ID
		}
	}
	for _, what := range slices.Sorted(keysOf(oks)) {
		if oks[what] > 1 {
			o.broken("once only", "%.60s… succeeded %d times", what, oks[what])
		}
	}
}

// family judges the life of one family.
func (o *Oracle) family(h *history) {
	o.successors(h)
	o.end(h)
	for _, r := range slices.Concat(h.redeem, h.refresh) {
		if r.OK() && r.From > h.dead {
			o.broken("no family is resurrected", "authorization %s was over (%s), and then request %d (%s) succeeded", h.id, h.why, r.ID, r.Op)
		}
		if r.Failed("invalid_grant") && !o.Late && !o.justified(h, r) {
			o.broken("nobody loses a family for nothing", "request %d (%s, generation %d of authorization %s) was refused, and nobody had ended it", r.ID, r.Op, generationOf(r.On), h.id)
		}
	}
}

// successors judges that a refresh token has one successor, and that one whose successor was
// used is not good any more.
func (o *Oracle) successors(h *history) {
	given := func(r *Request) {
		if n := generationOf(r.Got.Got); n > h.highest {
			h.highest, h.newest = n, r.Got.Got
		}
	}
	used := map[int64]time.Duration{} // when it was known that a generation was spent
	for _, r := range h.redeem {
		if r.OK() {
			given(r)
		}
	}
	for _, r := range h.refresh {
		if !r.OK() {
			continue
		}
		given(r)
		g := generationOf(r.On)
		if other, ok := h.successor[r.On]; ok && other != r.Got.Got {
			o.broken("one successor", "generation %d of authorization %s has two", g, h.id)
		}
		h.successor[r.On] = r.Got.Got
		if generationOf(r.Got.Got) != g+1 {
			o.broken("one successor", "generation %d of authorization %s was followed by generation %d", g, h.id, generationOf(r.Got.Got))
		}
		if at, ok := used[g]; !ok || r.To < at {
			used[g] = r.To
		}
	}
	for _, r := range h.refresh {
		if at, ok := used[generationOf(r.On)+1]; r.OK() && ok && r.From > at {
			o.broken("a spent refresh token is not good", "request %d used generation %d of authorization %s after its successor was used", r.ID, generationOf(r.On), h.id)
		}
	}
}

// end finds out when a family was known to be over: it was ended by somebody who was told so,
// or a genuine token of it was refused.
func (o *Oracle) end(h *history) {
	over := func(at time.Duration, why string, r *Request) {
		if at < h.dead {
			h.dead, h.why = at, fmt.Sprintf("%s, request %d", why, r.ID)
		}
	}
	for _, r := range h.kills {
		// What was allowed at the same time or later may go on.
		if r.OK() && h.begun != nil && h.begun.To < r.From {
			over(r.To, "it was revoked", r)
		}
	}
	bought := slices.ContainsFunc(h.redeem, (*Request).OK)
	for _, r := range slices.Concat(h.redeem, h.refresh) {
		if r.Failed("invalid_grant") && bought && !o.Late {
			over(r.To, "it was refused", r)
		}
	}
	// A code that was bought and refused at the same time: whichever was answered later.
	for _, r := range h.redeem {
		if r.OK() && r.To > h.dead && r.From < h.dead {
			h.dead = r.To
		}
	}
}

// justified says whether somebody may have ended a family before a request was refused.
func (o *Oracle) justified(h *history, r *Request) bool {
	for _, k := range h.kills {
		if k.From < r.To && (h.begun == nil || h.begun.From < k.Until()) {
			return true
		}
	}
	// A code that was shown twice, and may have been spent the first time.
	shown := 0
	for _, k := range h.redeem {
		if k.From < r.To {
			shown++
		}
	}
	if shown > 1 {
		return true
	}
	if r.Op == opRedeem && h.begun != nil && r.To-h.begun.From > codeLife {
		return true
	}
	// A refresh token that was still being looked at when its successor was used: it is taken for
	// stolen.
	for _, k := range h.refresh {
		if k.From >= r.To {
			continue
		}
		for _, later := range h.refresh {
			if generationOf(later.On) > generationOf(k.On) && later.From < k.Until() {
				return true
			}
		}
	}
	return false
}

// codeLife is how long a code is good, less what a test may take to notice.
const codeLife = 55 * time.Second

// afterTheEnd judges access tokens and clients that are gone.
func (o *Oracle) afterTheEnd() {
	o.ended = map[string]time.Duration{}
	end := func(what string, at time.Duration) {
		if was, ok := o.ended[what]; !ok || at < was {
			o.ended[what] = at
		}
	}
	for _, r := range o.all {
		if (r.Op == opRevokeAccess || r.Op == opDisable) && r.OK() {
			end(r.Op+" "+r.On, r.To)
		}
	}
	from := map[string]*history{}
	for _, h := range o.families {
		for _, r := range slices.Concat(h.redeem, h.refresh) {
			if r.OK() && len(r.Got.Tokens) > 0 {
				from[r.Got.Tokens[0]] = h
			}
		}
	}
	for _, r := range o.all {
		switch r.Op {
		case opIntrospect, opUserInfo:
			if !r.OK() || r.Got.Got != "true" {
				continue
			}
			if at, ok := o.ended[opRevokeAccess+" "+r.On]; ok && r.From > at {
				o.broken("nothing revoked is accepted", "request %d (%s) found an access token good that was revoked", r.ID, r.Op)
			}
			if h := from[r.On]; h != nil && r.From > h.dead {
				o.broken("nothing revoked is accepted", "request %d (%s) found an access token good whose authorization %s was over (%s)", r.ID, r.Op, h.id, h.why)
			}
		case opService:
			if at, ok := o.ended[opDisable+" "+r.On]; ok && r.OK() && r.From > at+o.Elsewhere {
				o.broken("nothing revoked is accepted", "request %d at copy %d: client %s got a token %s after it was disabled", r.ID, r.Node, r.On, (r.From - at).Round(time.Millisecond))
			}
		}
	}
}
