//go:build linux

package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"mintmark/conformance"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A robot is a service that authenticates with a key of its own.
type robot struct {
	id     string
	signer jose.Signer
}

func newRobot(c *client) (*robot, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		return nil, err
	}
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
	made := c.mustAddClient(map[string]any{"client_name": "Robot", "client_type": "service", "scope": "a",
		"token_endpoint_auth_method": "private_key_jwt", "jwks": public})
	return &robot{made.ID, signer}, nil
}

// assertion signs a client assertion, RFC 7523 §3.
func (r *robot) assertion(issuer, jti string) (string, error) {
	now := time.Now().Unix()
	return jwt.Signed(r.signer).Claims(map[string]any{"iss": r.id, "sub": r.id, "aud": issuer, "jti": jti, "iat": now, "exp": now + 280}).Serialize()
}

func (c *client) asserting(jti, assertion string) call {
	return call{op: opAssert, on: jti, arg: assertion, method: "POST", path: "/oauth/token", read: readTokens,
		form: url.Values{"grant_type": {"client_credentials"}, "client_assertion": {assertion},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}}
}

// assert uses an assertion, half of the time twice. A careful client signs a new one after a
// lost answer; this one is not careful, and must find that it is good at most once.
func (x *worker) assert() {
	x.made++
	jti := fmt.Sprintf("%d-%d-%d", x.w.Seed, x.worker, x.made)
	text, err := x.w.robot.assertion(x.w.Issuer, jti)
	if err != nil {
		x.w.t.Error(err)
		return
	}
	if x.rng.IntN(2) == 0 {
		x.both(x.asserting(jti, text))
		return
	}
	x.settle(x.asserting(jti, text))
}

func (c *client) serving(a application) call {
	return call{op: opService, on: a.ID, arg: a.Secret, method: "POST", path: "/oauth/token", as: &a, read: readTokens,
		form: url.Values{"grant_type": {"client_credentials"}}}
}

func (x *worker) clientCredentials() { x.send(x.serving(x.w.service)) }

func readID(name string) func(reply, *Entry) {
	return func(got reply, e *Entry) {
		if got.ok() {
			e.Got = got.str(name)
		}
	}
}

func (c *client) addingUser(email string, password string) call {
	body := map[string]any{"email": email, "email_verified": true}
	if password != "" {
		body["password"] = password
	}
	return call{op: opAddUser, on: email, method: "POST", path: "/api/v1/users", admin: true, json: body, read: readID("id")}
}

func (c *client) mustAddUser(email string) string {
	got := c.send(c.addingUser(email, conformance.Password))
	if got.Got == "" {
		c.w.t.Errorf("no account could be made: %d %s %s", got.Status, got.Broken, got.body)
	}
	return got.Got
}

func (c *client) addingClient(a application, metadata map[string]any) call {
	body := map[string]any{}
	for name, value := range metadata {
		body[name] = value
	}
	if a.ID != "" {
		body["client_id"], body["client_secret"] = a.ID, a.Secret
	}
	return call{op: opAddClient, on: a.ID, arg: a.Secret, method: "POST", path: "/api/v1/clients", admin: true, json: body, read: readID("client_id")}
}

func (c *client) mustAddClient(metadata map[string]any) application {
	got := c.send(c.addingClient(application{}, metadata))
	if got.Got == "" {
		c.w.t.Errorf("no application could be registered: %d %s %s", got.Status, got.Broken, got.body)
	}
	return application{got.Got, got.str("client_secret")}
}

// addPerson adds an account. If the answer is lost, the next try may find that it is there.
func (x *worker) addPerson() {
	x.made++
	x.settle(x.addingUser(fmt.Sprintf("p%d-%d@example.com", x.worker, x.made), ""))
}

// rename gives the worker's own account names that count upwards.
func (x *worker) rename() {
	x.names++
	name := fmt.Sprintf("Name %06d", x.names)
	x.settle(call{op: opSetName, on: x.user, arg: name, method: "PATCH", path: "/api/v1/users/" + x.user, admin: true, json: map[string]any{"name": name}})
}

// disableClient registers a service, lets every copy cache it, disables it, and then tries for
// a while to get something from any copy.
func (x *worker) disableClient() {
	x.made++
	a := application{fmt.Sprintf("service-%d-%d", x.worker, x.made), strings.Repeat("s", 40) + fmt.Sprint(x.made)}
	x.settle(x.addingClient(a, map[string]any{"client_name": a.ID, "client_type": "service", "scope": "a"}))
	for i := range x.w.Nodes {
		x.sendTo(i, x.serving(a))
	}
	x.settle(call{op: opDisable, on: a.ID, method: "POST", path: "/api/v1/clients/" + a.ID + "/disable", admin: true})
	for range 4 {
		for i := range x.w.Nodes {
			x.sendTo(i, x.serving(a))
		}
		x.pause(200*time.Millisecond, 300*time.Millisecond)
	}
}

// disablePerson locks out somebody who has just signed in.
func (x *worker) disablePerson() {
	x.made++
	other := &worker{client: x.w.newClient(x.worker), app: x.app, email: fmt.Sprintf("gone%d-%d@example.com", x.worker, x.made)}
	other.rng = x.rng
	got := x.settle(x.addingUser(other.email, conformance.Password))
	if other.user = got.Got; other.user == "" {
		return
	}
	other.codeFlow()
	x.settle(call{op: opDisableUser, on: other.user, method: "POST", path: "/api/v1/users/" + other.user + "/disable", admin: true})
	for _, f := range other.families {
		other.send(other.refreshing(f.newest()))
	}
	other.http.CloseIdleConnections()
}

// revokeConsent takes back everything that the worker's application was ever given.
func (x *worker) revokeConsent() {
	grant := x.user + ":" + x.app.ID
	for _, f := range x.families {
		f.over = true
	}
	x.settle(call{op: opRevokeGrant, on: grant, method: "DELETE", path: "/api/v1/grants/" + grant, admin: true})
	if len(x.families) > 0 {
		x.send(x.refreshing(x.families[len(x.families)-1].newest()))
	}
	x.families = nil
}

// rotate makes new signing keys, a few times in a campaign: the first signs at once, and what
// was signed before it must stay good.
func (x *worker) rotate() {
	if x.worker != 1 || x.rotates >= 3 {
		return
	}
	x.rotates++
	x.settle(call{op: opRotate, method: "POST", path: "/api/v1/signing-keys/rotate", admin: true,
		json: map[string]any{"alg": "ES256", "immediately": x.rotates == 1},
		read: func(got reply, e *Entry) {
			if items, ok := got.json["items"].([]any); ok && got.Status == http.StatusCreated {
				for _, item := range items {
					if m, ok := item.(map[string]any); ok {
						e.Got, _ = m["kid"].(string)
					}
				}
			}
		}})
}
