package upstream

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mintmark/internal/fetch"
	"mintmark/internal/secret"
)

// maxAnswer bounds what a connector says.
const maxAnswer = 64 << 10

// A signedConnector asks an address of the operator whose a token is, in a request that is signed as a
// webhook of the Standard Webhooks specification 1.0.0: there are libraries for it everywhere.
type signedConnector struct {
	*talk
	key    []byte
	issuer string
}

// signed returns the connector that a row describes.
func (g *Registry) signed(t *talk) (*signedConnector, error) {
	if t.p.ConnectorURL == "" {
		return nil, errors.New("there is no address, and no connector of this name in the program")
	}
	plain, err := g.Sealer.Open(t.p.SealedSecret, SecretAAD(t.p.ID))
	if err != nil {
		return nil, fmt.Errorf("opening the secret of %s: %w", t.p.Name, err)
	}
	key, ok := webhookKey(string(plain))
	if !ok {
		return nil, errors.New("the secret is none")
	}
	return &signedConnector{t, key, g.Issuer}, nil
}

// question is what the operator's server is asked.
type question struct {
	Type     string `json:"type"`
	Token    string `json:"token"`
	Provider string `json:"provider"` // the name of the row
	Issuer   string `json:"issuer"`   // who asks
	ClientID string `json:"client_id,omitempty"`
}

// Identify implements [Connector].
func (c *signedConnector) Identify(ctx context.Context, token string) (Identity, error) {
	body, err := json.Marshal(question{"identify", token, c.p.Name, c.issuer, c.p.ClientID})
	if err != nil {
		return Identity{}, errors.New("the question can't be written") // and no word of the token
	}
	c.ctx = ctx
	id, at := secret.NewID("msg"), strconv.FormatInt(c.now.Unix(), 10)
	a, err := c.ask(fetch.Request{Method: http.MethodPost, URL: c.p.ConnectorURL, Body: body, Limit: maxAnswer, Header: http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json"},
		"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {signWebhook(c.key, id, at, body)},
	}})
	switch {
	case err != nil:
		return Identity{}, err
	case a.Status != http.StatusOK:
		return Identity{}, fmt.Errorf("%s says %d", host(c.p.ConnectorURL), a.Status)
	case !isJSON(a.Header):
		return Identity{}, fmt.Errorf("%s sends something that is not JSON by its Content-Type", host(c.p.ConnectorURL))
	}
	d, err := parseDocument(a.Body)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", host(c.p.ConnectorURL), err)
	}
	return c.read(d)
}

// read reads an answer. Only {"active": true} lets somebody in, and only {"active": false} says that the
// token is not good: what is neither was not said by something that knows.
func (c *signedConnector) read(d document) (Identity, error) {
	switch d["active"] {
	case true:
	case false:
		return Identity{}, fmt.Errorf("%w: the connector says so", ErrOutside)
	default:
		return Identity{}, errors.New("active is neither true nor false")
	}
	who, err := c.introduced(d)
	if err != nil {
		return Identity{}, err
	}
	if who.ExpiresAt, err = c.end(d); err != nil {
		return Identity{}, err
	}
	return who, c.over(who)
}

// end reads when it is over: the earlier one, if it is said in both ways.
func (c *signedConnector) end(d document) (time.Time, error) {
	at, ok := d.moment("expires_at")
	if !ok {
		return time.Time{}, errors.New("expires_at is no NumericDate")
	}
	in, said := d["expires_in"]
	if !said {
		return at, nil
	}
	n, _ := in.(json.Number)
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > maxExpiresIn {
		return time.Time{}, errors.New("expires_in is no number of seconds")
	}
	after := c.now.Add(time.Duration(seconds * float64(time.Second)))
	if at.IsZero() || after.Before(at) {
		return after, nil
	}
	return at, nil
}

// maxExpiresIn is a hundred years, in seconds.
const maxExpiresIn = 100 * 366 * 24 * 60 * 60

// signWebhook is the value of webhook-signature: the scheme v1, HMAC-SHA256 of id.timestamp.body.
func signWebhook(key []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// webhookKey reads a secret as the specification writes it: base64 of 24 to 64 random bytes, which may
// begin with whsec_.
func webhookKey(text string) (key []byte, ok bool) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	return key, err == nil && 24 <= len(key) && len(key) <= 64 && !strings.ContainsAny(text, "\r\n")
}

// lookAtConnector asks about a token that nobody has.
func (g *Registry) lookAtConnector(ctx context.Context, p *Provider, now time.Time) error {
	if g.Connectors[p.Name] != nil {
		return nil
	}
	if p.ConnectorURL == "" {
		return &Invalid{"connector_url", "is missing: it is the address that says whose a token is"}
	}
	// A connection of its own: what is tried here is not held against a connector that is in use.
	t := &talk{connection: g.connect(p, ""), p: p, now: now}
	defer t.fetch.CloseIdle()
	c, err := g.signed(t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	_, err = c.Identify(ctx, secret.Random62(43))
	if errors.Is(err, ErrOutside) {
		return nil
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.cause != nil {
		err = refusal.cause
	}
	if err == nil {
		err = errors.New("it says that a token is good which nobody has")
	}
	return &Invalid{"connector_url", "leads to no connector: " + err.Error()}
}
