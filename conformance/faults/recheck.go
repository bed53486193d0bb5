//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// most is how many things of a kind are shown again. A campaign has more than fit into a
// recheck; which ones is up to the seed. The journal is judged in full, and so are the rows in
// the database.
const most = 60

// Recheck shows everything again that was spent, revoked or made, after everything has
// recovered, compares the journal with the rows of the database, and returns every promise
// that was not kept.
func (w *World) Recheck(workers Workers, elsewhere time.Duration, database string) ([]Violation, error) {
	w.t.Helper()
	giveUp := time.AfterFunc(60*time.Second, func() { close(w.stop) })
	defer func() {
		if !giveUp.Stop() {
			w.t.Error("the recheck did not end within a minute: the server has not recovered")
		}
	}()
	all, err := w.Journal.Requests()
	if err != nil {
		return nil, err
	}
	again := &recheck{w: w, all: all, workers: map[string]*worker{}, admin: w.newClient(100), rng: rand.New(rand.NewPCG(w.Seed, 100))}
	for _, x := range workers {
		again.workers[x.user] = x
	}
	again.oracle = Oracle{Elsewhere: elsewhere, Late: w.Late}
	again.oracle.Judge(all)
	// Once before anything is shown again, which would move what stands still.
	before, err := again.oracle.Rows(database)
	if err != nil {
		return nil, err
	}
	again.found = append(again.found, before...)

	again.unusedCodes()
	again.livingFamilies()
	again.people()
	again.applications()
	again.keys()
	again.spent()

	if all, err = w.Journal.Requests(); err != nil {
		return nil, err
	}
	found := append(again.found, again.oracle.Judge(all)...)
	rows, err := again.oracle.Rows(database)
	return append(found, rows...), err
}

// Counts says in one line what the load was and what became of it.
func (w *World) Counts() (string, error) {
	all, err := w.Journal.Requests()
	if err != nil {
		return "", err
	}
	var ok, refused, unknown, slow int
	for _, r := range all {
		switch {
		case r.OK():
			ok++
		case r.Known():
			refused++
		default:
			unknown++
			if r.Got == nil || r.Got.Slow {
				slow++
			}
		}
	}
	return fmt.Sprintf("%d requests: %d succeeded, %d were refused, of %d the outcome was unknown (%d without an answer in %s)",
		len(all), ok, refused, unknown, slow, patience), nil
}

type recheck struct {
	w       *World
	all     []*Request
	oracle  Oracle
	workers map[string]*worker // by person
	admin   *client
	rng     *rand.Rand
	found   []Violation
}

func (c *recheck) broken(rule, what string, args ...any) {
	c.found = append(c.found, Violation{rule, fmt.Sprintf(what, args...)})
}

// some picks at most so many, by the seed.
func some[T any](c *recheck, all []T, n int) []T {
	c.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}

// owner is the worker whose application a family belongs to. A person who was locked out used
// the application of the worker who did it.
func (c *recheck) owner(grant string) *worker {
	user, app, _ := strings.Cut(grant, ":")
	if x := c.workers[user]; x != nil {
		return x
	}
	for _, x := range c.workers {
		if x.app.ID == app {
			return x
		}
	}
	return nil
}

func (c *recheck) grantOf(h *history) string {
	for _, r := range slices.Concat(h.redeem, h.refresh) {
		return r.Arg
	}
	return ""
}

// unusedCodes redeems codes that were given and never shown: an acknowledged write.
func (c *recheck) unusedCodes() {
	for _, r := range c.all {
		if (r.Op == opAuthorize || r.Op == opApprove || r.Op == opSignIn) && r.OK() && r.Got.Got != "" {
			x := c.workers[r.On]
			if r.Op == opApprove {
				x = c.workers[r.Arg]
			}
			h := c.oracle.families[authorizationOf(r.Got.Got)]
			if x != nil && h == nil && time.Since(c.w.Journal.Begin)-r.From < 30*time.Second {
				x.settle(x.redemption(r.Got.Got))
			}
		}
	}
}

// livingFamilies refreshes every family that nobody has ended. Whether a refusal is in order is
// for the oracle to say.
func (c *recheck) livingFamilies() {
	var living []*history
	for _, h := range c.oracle.families {
		if h.newest != "" && h.dead == never {
			living = append(living, h)
		}
	}
	slices.SortFunc(living, func(a, b *history) int { return strings.Compare(a.id, b.id) })
	for _, h := range some(c, living, most) {
		x := c.owner(c.grantOf(h))
		if got := x.settle(x.refreshing(h.newest)); got.ok() {
			// And what it was before is not good any more.
			x.settle(x.refreshing(got.Got))
		}
	}
}

// spent shows again what was spent and what was revoked.
func (c *recheck) spent() {
	type shown struct {
		x *client
		c call
	}
	var codes, tokens, answers, assertions, ended, clients, access []shown
	for _, r := range c.all {
		switch {
		case r.Op == opRedeem && r.OK():
			x := c.owner(r.Arg)
			codes = append(codes, shown{x.client, x.redemption(r.On)})
		case r.Op == opRefresh && r.OK():
			x := c.owner(r.Arg)
			tokens = append(tokens, shown{x.client, x.refreshing(r.On)})
		case r.Op == opApprove && r.OK() && r.Got.Got != "":
			if x := c.workers[r.Arg]; x != nil {
				answers = append(answers, shown{x.client, x.approval(r.On)})
			}
		case r.Op == opAssert && r.OK():
			assertions = append(assertions, shown{c.admin, c.admin.asserting(r.On, r.Arg)})
		case r.Op == opDisable && r.OK():
			for _, made := range c.all {
				if made.Op == opAddClient && made.On == r.On {
					clients = append(clients, shown{c.admin, c.admin.serving(application{made.On, made.Arg})})
					break
				}
			}
		}
	}
	// Families that are over: their newest token, and the access tokens that came with them.
	for _, id := range slices.Sorted(keysOf(c.oracle.families)) {
		h := c.oracle.families[id]
		if h.newest == "" || h.dead == never {
			continue
		}
		x := c.owner(c.grantOf(h))
		ended = append(ended, shown{x.client, x.refreshing(h.newest)})
		for _, r := range h.redeem {
			if r.OK() && len(r.Got.Tokens) > 0 {
				access = append(access, shown{x.client, x.introspection(r.Got.Tokens[0])})
			}
		}
	}
	// Codes last: to show one again ends its family.
	for _, kind := range [][]shown{ended, access, clients, assertions, answers, tokens, codes} {
		for _, s := range some(c, kind, most) {
			if got := s.x.settle(s.c); !got.known() {
				c.broken("it recovers by itself", "%s got %d %s after everything was over", s.c.op, got.Status, got.Broken)
			}
		}
	}
}

// people looks for everybody who was added, and for the last name of those who were renamed.
func (c *recheck) people() {
	added := map[string]bool{}
	names := map[string][]*Request{}
	for _, r := range c.all {
		switch {
		case r.Op == opAddUser && (r.OK() || r.Failed("exists")):
			added[r.On] = true
		case r.Op == opSetName:
			names[r.On] = append(names[r.On], r)
		}
	}
	for _, email := range some(c, slices.Sorted(keysOf(added)), most) {
		got := c.admin.settle(call{op: opGetUser, on: email, method: "GET", path: "/api/v1/users?email=" + url.QueryEscape(email), admin: true})
		if items, _ := got.json["items"].([]any); len(items) != 1 {
			c.broken("no acknowledged write is lost", "person %s was added, and %d of them are there", email, len(items))
		}
	}
	for _, user := range slices.Sorted(keysOf(names)) {
		got := c.admin.settle(call{op: opGetUser, on: user, method: "GET", path: "/api/v1/users/" + user, admin: true})
		c.lastValue(user, got.str("name"), names[user])
	}
}

// lastValue judges a value that was set again and again by one client, one after the other. It
// is the last that was acknowledged, or one whose outcome is unknown and that came later.
func (c *recheck) lastValue(what, is string, sets []*Request) {
	may := map[string]bool{"": true}
	for _, r := range sets {
		if r.OK() {
			may = map[string]bool{}
		}
		may[r.Arg] = true
	}
	if !may[is] {
		c.broken("no acknowledged write is lost", "the name of %s is %q, and the last one that was acknowledged is another", what, is)
	}
}

// applications looks for every application that was registered.
func (c *recheck) applications() {
	added := map[string]bool{}
	for _, r := range c.all {
		switch {
		case r.Op == opAddClient && r.OK():
			added[r.Got.Got] = true
		case r.Op == opAddClient && r.Failed("exists"):
			added[r.On] = true
		}
	}
	for _, id := range some(c, slices.Sorted(keysOf(added)), most) {
		got := c.admin.settle(call{op: opGetClient, on: id, method: "GET", path: "/api/v1/clients/" + url.PathEscape(id), admin: true})
		if got.Status != 200 {
			c.broken("no acknowledged write is lost", "application %s was registered: %d", id, got.Status)
		}
	}
}

// keys verifies every token that was given out, and looks for every key that was made.
func (c *recheck) keys() {
	var sets []jose.JSONWebKeySet // of every copy
	for i := range c.w.Nodes {
		got := c.admin.sendTo(i, call{op: opJWKS, method: "GET", path: "/.well-known/jwks.json"})
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(got.body, &set); err != nil {
			c.broken("every token verifies", "copy %d publishes no keys: %d %s", i, got.Status, got.Broken)
		}
		sets = append(sets, set)
	}
	for i, set := range sets {
		c.verifyAll(i, set)
	}
}

func (c *recheck) verifyAll(copy int, set jose.JSONWebKeySet) {
	verified := map[string]bool{}
	for _, r := range c.all {
		if r.Op == opRotate && r.OK() && r.Got.Got != "" && len(set.Key(r.Got.Got)) != 1 {
			c.broken("no key is lost", "key %s was made, and copy %d does not publish it", r.Got.Got, copy)
		}
		if !r.OK() {
			continue
		}
		for _, token := range r.Got.Tokens {
			if verified[token] {
				continue
			}
			verified[token] = true
			if err := verify(token, set); err != nil {
				c.broken("every token verifies", "copy %d, request %d: %v", copy, r.ID, err)
			}
		}
	}
}

func verify(token string, set jose.JSONWebKeySet) error {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return err
	}
	kid := jws.Signatures[0].Header.KeyID
	found := set.Key(kid)
	if len(found) != 1 {
		return fmt.Errorf("a token is signed with key %q, which is not published", kid)
	}
	_, err = jws.Verify(found[0])
	return err
}
