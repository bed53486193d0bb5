package admin

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strings"
	"time"

	"mintmark/apikeys"
	"mintmark/bearer"
)

// A NewQuestion is a key that somebody showed, and what it is wanted for.
type NewQuestion struct {
	Key      string `json:"key" maxLength:"600"`
	Scope    string `json:"scope,omitempty" maxLength:"2000" doc:"The scopes that it must have, separated by spaces"`
	Audience string `json:"audience,omitempty" maxLength:"200" doc:"Who asks: a key that is bound to others is not active here"`
	Cost     int64  `json:"cost,omitempty" minimum:"1" maximum:"1000000" default:"1" doc:"How much of the key's quota it takes"`
	Address  string `json:"address,omitempty" maxLength:"100" doc:"Where the key was shown from: a key that is bound to networks needs it"`
}

// A NewBatch is many questions.
type NewBatch struct {
	Keys []NewQuestion `json:"keys" minItems:"1" maxItems:"100"`
}

// A Verdict says whether a key is good for what was asked.
type Verdict struct {
	Active     bool     `json:"active"`
	Code       string   `json:"code,omitempty" doc:"Why not. invalid_key is one and the same for keys that are unknown, wrong, expired, disabled and revoked" enum:"invalid_key,insufficient_scope,wrong_audience,ip_not_allowed,rate_limited,quota_exceeded"`
	Missing    string   `json:"missing_scope,omitempty"`
	RetryAfter int64    `json:"retry_after,omitempty" doc:"In seconds"`
	ID         string   `json:"id,omitempty"`
	Subject    string   `json:"sub,omitempty" doc:"The account or service account, or instance"`
	ClientID   string   `json:"client_id,omitempty"`
	TokenType  string   `json:"token_type,omitempty"`
	OwnerType  string   `json:"owner_type,omitempty"`
	Scope      string   `json:"scope,omitempty"`
	Audience   []string `json:"aud,omitempty"`
	Expires    int64    `json:"exp,omitempty"`
	RateLimit  string   `json:"ratelimit,omitempty" doc:"As in the RateLimit header: what is left"`
	CacheFor   int64    `json:"cache_for" doc:"For how many seconds the answer may be remembered"`
}

// Verdicts are the answers to a batch, in its order.
type Verdicts struct {
	Items []Verdict `json:"items" nullable:"false"`
}

type (
	verifyInput    struct{ Body NewQuestion }
	batchInput     struct{ Body NewBatch }
	verdictOutput  struct{ Body Verdict }
	verdictsOutput struct{ Body Verdicts }
)

// cacheFor is for how long a service may remember an answer: what that adds to the time until
// a revocation is true everywhere.
const cacheFor = 5

func (a *api) verifyKey(ctx context.Context, in *verifyInput) (*verdictOutput, error) {
	caller, _ := bearer.FromContext(ctx)
	v, err := a.verdict(ctx, &caller, in.Body, time.Now())
	return &verdictOutput{v}, err
}

func (a *api) verifyKeys(ctx context.Context, in *batchInput) (*verdictsOutput, error) {
	caller, _ := bearer.FromContext(ctx)
	now := time.Now()
	out := Verdicts{Items: make([]Verdict, len(in.Body.Keys))}
	for i, q := range in.Body.Keys {
		var err error
		if out.Items[i], err = a.verdict(ctx, &caller, q, now); err != nil {
			return nil, err
		}
	}
	return &verdictsOutput{out}, nil
}

// verdict answers a question of whoever asks.
func (a *api) verdict(ctx context.Context, caller *bearer.Principal, q NewQuestion, now time.Time) (Verdict, error) {
	ask := apikeys.Ask{Key: q.Key, Scope: q.Scope, Audience: q.Audience, Cost: q.Cost}
	if q.Address != "" {
		from, err := netip.ParseAddr(q.Address)
		if err != nil {
			return Verdict{}, wrong("address", "is not an IP address")
		}
		ask.Address = from.Unmap().WithZone("")
	}
	found, err := a.APIKeys.Check(ctx, ask, now)
	if errors.Is(err, apikeys.ErrInvalid) {
		return Verdict{Code: "invalid_key", CacheFor: cacheFor}, nil
	}
	if denied, ok := errors.AsType[*apikeys.Denied](err); ok {
		return Verdict{Code: denied.Code, Missing: denied.Scope, CacheFor: cacheFor}, nil
	}
	if many, ok := isLimited(err); ok {
		return Verdict{Code: many.Code(), RetryAfter: seconds(many.RetryAfter)}, nil
	}
	if err != nil {
		return Verdict{}, err
	}
	if found.OwnerType == apikeys.OwnerInstance && apikeys.OwnerType(*caller) != apikeys.OwnerInstance {
		// It opens the admin API, and nothing else: no service may take it for one of its own keys.
		return Verdict{Code: "wrong_audience", CacheFor: cacheFor}, nil
	}
	p := found.Principal
	v := Verdict{
		Active: true, ID: p.Credential, Subject: p.Subject, ClientID: p.ClientID, TokenType: "api_key", OwnerType: found.OwnerType,
		Scope: strings.Join(p.Scopes, " "), Audience: found.Audience, CacheFor: cacheFor,
	}
	if !p.ExpiresAt.IsZero() {
		v.Expires = p.ExpiresAt.Unix()
	}
	if found.Policy != "" {
		// Whoever remembers the answer would not count.
		v.RateLimit, v.CacheFor = found.Left.Header(), 0
	}
	return v, nil
}

// seconds rounds up: who comes back earlier is refused again.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
