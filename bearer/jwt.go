package bearer

import (
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"time"

	// Case-sensitive and without duplicate members, unlike the standard library: what we read
	// is what the issuer meant. RFC 7515 §10.12.
	"github.com/go-jose/go-jose/v4/json"
)

// The limits of a token, before anything of it is decoded.
const (
	maxToken  = maxCredential
	maxHeader = 4 << 10
)

var (
	errShape  = errors.New("it is not a JWS in compact form")
	errHeader = errors.New("its header can't be read")
	errClaims = errors.New("its claims can't be read")
	errCrit   = errors.New("its header has extensions that must be understood")
)

// base is RFC 7515 §2, and strict: there is one way to write a signature.
var base = base64.RawURLEncoding.Strict()

// A jws is a token taken apart. Nothing in it was verified.
type jws struct {
	segment   string // the header as it was sent
	header    header
	payload   []byte
	signed    []byte // what the signature is over
	signature []byte
}

// A header is what we look at of a JOSE header. The others that can hold or name a key (jwk,
// jku, x5c, x5u) are not read: RFC 8725 §3.10.
type header struct {
	Alg  string          `json:"alg"`
	Typ  string          `json:"typ"`
	Kid  string          `json:"kid"`
	Crit json.RawMessage `json:"crit"`
}

// parse takes a token apart, RFC 7515 §5.2. All tokens that a key signs have the same header:
// known says what it reads, if a good token had it before.
func parse(token string, most int, known func(segment string) (header, bool)) (*jws, error) {
	if len(token) > most {
		return nil, errShape
	}
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	// Three parts, none empty: not two, and not the five of an encrypted one.
	if first <= 0 || first > maxHeader || last <= first+1 || last == len(token)-1 ||
		strings.IndexByte(token[first+1:last], '.') >= 0 || strings.ContainsAny(token, "\r\n") {
		return nil, errShape
	}
	j := &jws{segment: token[:first], signed: []byte(token[:last])}
	var seen bool
	if j.header, seen = known(j.segment); !seen {
		text, err := base.DecodeString(j.segment)
		if err != nil {
			return nil, errShape
		}
		if err := unmarshalObject(text, &j.header); err != nil {
			return nil, errHeader
		}
	}
	if j.header.Crit != nil {
		return nil, errCrit // RFC 7515 §4.1.11; we understand none, and so not b64 either
	}
	var err error
	if j.payload, err = base.DecodeString(token[first+1 : last]); err != nil {
		return nil, errShape
	}
	if j.signature, err = base.DecodeString(token[last+1:]); err != nil {
		return nil, errShape
	}
	return j, nil
}

// parseClaims reads claims, RFC 7519 §7.2.
func parseClaims(payload []byte) (*claimSet, error) {
	c := new(claimSet)
	if scan(string(payload), c) {
		return c, nil
	}
	*c = claimSet{}
	if err := unmarshalObject(payload, c); err != nil {
		return nil, errClaims
	}
	return c, nil
}

// A claimSet is what we look at of the claims, RFC 9068 §2.2.
type claimSet struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      oneOr    `json:"aud"`
	Expires       *seconds `json:"exp"`
	NotBefore     *seconds `json:"nbf"`
	IssuedAt      *seconds `json:"iat"`
	ID            string   `json:"jti"`
	ClientID      string   `json:"client_id"`
	AuthorizedFor string   `json:"azp"` // OpenID Connect Core §2: what others call the client
	Scope         words    `json:"scope"`
	Scopes        words    `json:"scp"` // what others call the scope
	Session       string   `json:"sid"`
	Authorization string   `json:"aid"`
	Key           string   `json:"akid"`
	Organization  string   `json:"org_id"`
	ACR           string   `json:"acr"`
	AMR           []string `json:"amr"`
	AuthTime      *seconds `json:"auth_time"`
	Actor         *struct {
		Subject string `json:"sub"`
	} `json:"act"`
	Confirmation json.RawMessage `json:"cnf"`
}

// principal is who shows a token with these claims.
func (c *claimSet) principal() Principal {
	p := Principal{
		Subject: c.Subject, Organization: c.Organization, ClientID: c.ClientID, Method: MethodBearer,
		Credential: c.ID, Scopes: c.Scope, ExpiresAt: c.Expires.time(), Issuer: c.Issuer,
		Session: c.Session, Authorization: c.Authorization, Key: c.Key, ACR: c.ACR, AMR: c.AMR,
	}
	if p.ClientID == "" {
		p.ClientID = c.AuthorizedFor
	}
	if c.Scope == nil {
		p.Scopes = c.Scopes
	}
	if c.Actor != nil {
		p.Actor = c.Actor.Subject
	}
	if c.AuthTime != nil {
		p.AuthTime = c.AuthTime.time()
	}
	return p
}

// oneOr is one string or a list of strings, as aud is: RFC 7519 §4.1.3.
type oneOr []string

// UnmarshalJSON reads either form.
func (o *oneOr) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*o = make(oneOr, 1)
		return json.Unmarshal(text, &(*o)[0])
	}
	var list []*string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, s := range list {
		if s == nil {
			return errClaims // null is not a string
		}
		*o = append(*o, *s)
	}
	return nil
}

// words is a list with spaces between, RFC 6749 §3.3, or a JSON list.
type words []string

// UnmarshalJSON reads either form.
func (w *words) UnmarshalJSON(text []byte) error {
	var list oneOr
	if err := list.UnmarshalJSON(text); err != nil {
		return err
	}
	if len(text) > 0 && text[0] == '"' {
		list = strings.Fields(list[0])
	}
	*w = words(list)
	return nil
}

// seconds is a NumericDate, RFC 7519 §2, between 1970 and the year 9999.
type seconds float64

// UnmarshalJSON reads a number.
func (s *seconds) UnmarshalJSON(text []byte) error {
	var f float64
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	if string(text) == "null" || f < 0 || f > 253402300799 {
		return errClaims
	}
	*s = seconds(f)
	return nil
}

func (s seconds) time() time.Time {
	whole, part := math.Modf(float64(s))
	return time.Unix(int64(whole), int64(part*1e9))
}

// unmarshalObject reads one JSON object, which header and claims are: RFC 7515 §4, RFC 7519 §7.2.
func unmarshalObject(text []byte, into any) error {
	if len(text) == 0 || text[0] != '{' {
		return errClaims
	}
	return json.Unmarshal(text, into)
}
