//go:build linux

package faults

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"mintmark/conformance"
)

// Operations, as the journal calls them.
const (
	opSignIn       = "sign in"
	opAsk          = "ask for consent"
	opAuthorize    = "authorize"
	opApprove      = "approve"
	opRedeem       = "redeem"
	opRefresh      = "refresh"
	opRevoke       = "revoke family"
	opRevokeAccess = "revoke access token"
	opIntrospect   = "introspect"
	opUserInfo     = "userinfo"
	opService      = "client credentials"
	opAssert       = "assertion"
	opAddUser      = "add user"
	opGetUser      = "get user"
	opSetName      = "set name"
	opDisableUser  = "disable user"
	opAddClient    = "add client"
	opGetClient    = "get client"
	opDisable      = "disable client"
	opRevokeGrant  = "revoke grant"
	opRotate       = "rotate keys"
	opListKeys     = "list keys"
	opJWKS         = "jwks"
)

// authorize asks for a code, signing in and consenting as far as it is asked to.
func (x *worker) authorize(more url.Values) string {
	q := url.Values{"client_id": {x.app.ID}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid email offline_access"},
		"state": {"s"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}}
	for name, values := range more {
		q[name] = values
	}
	next := call{op: opAuthorize, on: x.user, arg: x.app.ID, method: "GET", path: "/authorize?" + q.Encode(), read: readCode}
	for range 6 {
		got := x.settle(next)
		if !got.known() || got.Got != "" {
			return got.Got
		}
		to, err := url.Parse(got.header.Get("Location"))
		if err != nil || got.Status != http.StatusSeeOther {
			return "" // the journal has it
		}
		sealed := to.Query().Get("request")
		switch to.Path {
		case "/login":
			next = call{op: opSignIn, on: x.user, method: "POST", path: "/login",
				form: url.Values{"request": {sealed}, "username": {x.email}, "password": {conformance.Password}}, read: readCode}
		case "/consent":
			next = x.approval(sealed)
		default:
			next = call{op: opAuthorize, on: x.user, arg: x.app.ID, method: "GET", path: to.RequestURI(), read: readCode}
		}
	}
	return ""
}

func (x *worker) approval(sealed string) call {
	return call{op: opApprove, on: sealed, arg: x.user, method: "POST", path: "/consent",
		form: url.Values{"request": {sealed}, "answer": {"approve"}}, read: readCode}
}

// readCode reads where the browser is sent: to the application with a code, or to a page.
func readCode(got reply, e *Entry) {
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.Status >= 400 {
		return
	}
	if strings.HasPrefix(to.String(), back) {
		e.Got, e.Error = to.Query().Get("code"), to.Query().Get("error")
		return
	}
	e.Arg = to.Path
}

// readTokens reads what the token endpoint gave.
func readTokens(got reply, e *Entry) {
	if got.Status != http.StatusOK {
		return
	}
	e.Got = got.str("refresh_token")
	for _, name := range []string{"access_token", "id_token"} {
		if s := got.str(name); s != "" {
			e.Tokens = append(e.Tokens, s)
		}
	}
	if len(e.Tokens) == 0 {
		e.Error = "an answer without tokens"
	}
}

func (x *worker) redemption(code string) call {
	return call{op: opRedeem, on: code, arg: x.user + ":" + x.app.ID, method: "POST", path: "/oauth/token", as: &x.app, read: readTokens,
		form: url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "code_verifier": {verifier}}}
}

func (x *worker) refreshing(token string) call {
	return call{op: opRefresh, on: token, arg: x.user + ":" + x.app.ID, method: "POST", path: "/oauth/token", as: &x.app, read: readTokens,
		form: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}}
}

func (x *worker) codeFlow() {
	code := x.authorize(nil)
	if code == "" {
		return
	}
	x.redeem(code, x.rng.IntN(6) == 0)
}

// redeem exchanges a code, and if the answer gets lost asks again. That may cost the family, so
// its end is for the oracle to judge.
func (x *worker) redeem(code string, twice bool) {
	var got reply
	if twice {
		for _, one := range x.both(x.redemption(code)) {
			if one.ok() {
				got = one
			}
		}
	} else {
		got = x.settle(x.redemption(code))
	}
	if !got.ok() {
		return
	}
	x.keep(got.Tokens)
	if got.Got == "" {
		return
	}
	x.families = append(x.families, &family{tokens: []string{got.Got}, over: twice})
	if len(x.families) > 30 {
		x.families = x.families[1:]
	}
}

func (x *worker) keep(tokens []string) {
	if len(tokens) == 0 {
		return
	}
	x.access = append(x.access, tokens[0])
	if len(x.access) > 30 {
		x.access = x.access[1:]
	}
}

// both sends a request twice at the same time, through two copies if there are two.
func (x *worker) both(one call) [2]reply {
	first := x.rng.IntN(len(x.w.Nodes))
	var got [2]reply
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i] = x.sendTo((first+i)%len(x.w.Nodes), one) })
	}
	all.Wait()
	return got
}

// living picks a family that nobody has ended, or begins one.
func (x *worker) living() *family {
	for range 10 {
		if len(x.families) == 0 {
			break
		}
		if f := x.families[x.rng.IntN(len(x.families))]; !f.over {
			return f
		}
	}
	return nil
}

func (x *worker) refresh() {
	f := x.living()
	if f == nil {
		x.codeFlow()
		return
	}
	got := x.settle(x.refreshing(f.newest()))
	switch {
	case got.ok():
		f.tokens = append(f.tokens, got.Got)
		x.keep(got.Tokens)
	case got.known():
		f.over = true
	}
}

func (x *worker) refreshTwice() {
	f := x.living()
	if f == nil {
		return
	}
	for _, got := range x.both(x.refreshing(f.newest())) {
		if got.ok() && f.newest() != got.Got {
			f.tokens = append(f.tokens, got.Got)
		}
		f.over = f.over || got.known() && !got.ok()
	}
}

// replayRefresh is a thief who comes late.
func (x *worker) replayRefresh() {
	if f := x.living(); f != nil && len(f.tokens) > 2 {
		f.over = true
		x.settle(x.refreshing(f.tokens[x.rng.IntN(len(f.tokens)-2)]))
		x.send(x.refreshing(f.newest()))
	}
}

func (x *worker) revokeFamily() {
	f := x.living()
	if f == nil {
		return
	}
	f.over = true
	x.settle(call{op: opRevoke, on: f.newest(), method: "POST", path: "/revoke", as: &x.app, form: url.Values{"token": {f.newest()}}})
	x.send(x.refreshing(f.newest()))
}

func (x *worker) revokeAccess() {
	if len(x.access) == 0 {
		return
	}
	i := x.rng.IntN(len(x.access))
	token := x.access[i]
	x.access = append(x.access[:i:i], x.access[i+1:]...)
	x.settle(call{op: opRevokeAccess, on: token, method: "POST", path: "/revoke", as: &x.app, form: url.Values{"token": {token}}})
	x.send(x.introspection(token))
}

func (x *worker) introspection(token string) call {
	return call{op: opIntrospect, on: token, method: "POST", path: "/introspect", as: &x.app, form: url.Values{"token": {token}},
		read: func(got reply, e *Entry) {
			if got.Status == http.StatusOK {
				e.Got = fmt.Sprint(got.json["active"])
			}
		}}
}

func (x *worker) look() {
	if len(x.access) == 0 {
		return
	}
	token := x.access[x.rng.IntN(len(x.access))]
	if x.rng.IntN(2) == 0 {
		x.send(x.introspection(token))
		return
	}
	x.send(call{op: opUserInfo, on: token, method: "GET", path: "/userinfo", bearer: token, read: func(got reply, e *Entry) {
		e.Got = fmt.Sprint(got.Status == http.StatusOK)
	}})
}

// answerTwice answers one question of the server twice, from the same browser.
func (x *worker) answerTwice() {
	q := url.Values{"client_id": {x.app.ID}, "redirect_uri": {back}, "response_type": {"code"}, "scope": {"openid email offline_access"},
		"prompt": {"consent"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}}
	got := x.settle(call{op: opAsk, on: x.user, method: "GET", path: "/authorize?" + q.Encode()})
	if got.header == nil {
		return
	}
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil || to.Path != "/consent" {
		return
	}
	sealed := to.Query().Get("request")
	x.asked = append(x.asked, sealed)
	for _, one := range x.both(x.approval(sealed)) {
		if one.ok() && one.Got != "" {
			x.redeem(one.Got, false)
		}
	}
}
