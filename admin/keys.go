package admin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"mintmark/apikeys"
	"mintmark/bearer"
)

// A Key is an API key, as JSON: everything but the key.
type Key struct {
	ID          string          `json:"id" doc:"Inside the key, and its OAuth client_id" example:"0Ab3dE6gH9k"`
	Kind        string          `json:"kind" doc:"ok of the instance, uk of a person, sk of a service account, tk for tests, im imported"`
	Status      string          `json:"status" enum:"active,pending,disabled,replaced,expired,revoked,leaked"`
	Reason      string          `json:"reason,omitempty" doc:"Why it is disabled or revoked"`
	Name        string          `json:"name"`
	OwnerType   string          `json:"owner_type" enum:"instance,account,service"`
	OwnerID     string          `json:"owner_id,omitempty"`
	Scopes      []string        `json:"scopes" nullable:"false"`
	Audience    []string        `json:"audience,omitempty"`
	Allow       []string        `json:"allow,omitempty" doc:"Networks that it may be used from"`
	Deny        []string        `json:"deny,omitempty" doc:"Networks that it may not be used from"`
	RateLimits  []string        `json:"rate_limits,omitempty" doc:"On each copy of the server: name:number/seconds"`
	Quota       *Quota          `json:"quota,omitempty"`
	IdleExpiry  int64           `json:"idle_expiry_seconds,omitempty" doc:"It is disabled when it was not used for so long"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	CreatedAt   time.Time       `json:"created_at"`
	CreatedBy   string          `json:"created_by,omitempty"`
	CreatedVia  string          `json:"created_via,omitempty"`
	UpdatedAt   time.Time       `json:"updated_at,omitzero"`
	NotBefore   time.Time       `json:"not_before,omitzero"`
	ExpiresAt   *time.Time      `json:"expires_at" nullable:"true" doc:"null: never. Only the operator's own key may be so"`
	RevokedAt   time.Time       `json:"revoked_at,omitzero"`
	Replaces    string          `json:"replaces,omitempty"`
	ReplacedBy  string          `json:"replaced_by,omitempty"`
	GraceUntil  time.Time       `json:"grace_until,omitzero" doc:"Until when a replaced key works"`
	LastUsedAt  time.Time       `json:"last_used_at,omitzero" doc:"To half a minute"`
	LastAddress string          `json:"last_address,omitempty"`
	Uses        int64           `json:"uses"`
	Version     int64           `json:"version"`
}

func showAPIKey(now time.Time) func(apikeys.Key) Key {
	return func(k apikeys.Key) Key {
		shown := Key{
			ID: k.ID, Kind: k.Kind, Status: k.Status(now), Reason: k.Reason, Name: k.Name, OwnerType: k.OwnerType, OwnerID: k.OwnerID,
			Scopes: append([]string{}, k.Scopes...), Audience: k.Audience, Allow: k.Allow, Deny: k.Deny, RateLimits: k.Limits, Metadata: k.Metadata,
			CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, CreatedVia: k.CreatedVia, UpdatedAt: k.UpdatedAt, NotBefore: k.NotBefore,
			RevokedAt: k.RevokedAt, Replaces: k.Replaces, ReplacedBy: k.ReplacedBy, GraceUntil: k.GraceUntil,
			IdleExpiry: int64(k.IdleExpiry / time.Second), LastUsedAt: k.LastUsedAt, LastAddress: k.LastAddress, Uses: k.Uses, Version: k.Version,
		}
		if k.Quota.ID != "" {
			left, refill := k.Quota.Left(now)
			shown.Quota = &Quota{k.Quota.ID, k.Quota.String(), left, refill}
		}
		if !k.ExpiresAt.IsZero() {
			shown.ExpiresAt = &k.ExpiresAt
		}
		return shown
	}
}

// A Quota is how much the keys that have it may be used.
type Quota struct {
	ID        string    `json:"id" doc:"Several keys can have the same"`
	Amount    string    `json:"amount" doc:"Like 100000/30d"`
	Remaining int64     `json:"remaining" doc:"What no copy of the server has spent or borrowed"`
	RefillsAt time.Time `json:"refills_at"`
}

// An AddedKey is a key with its one copy of the secret.
type AddedKey struct {
	Key
	Text string `json:"key,omitempty" doc:"The key itself, shown this once; missing if it was imported"`
}

// A NewKey is a key to make.
type NewKey struct {
	Name       string          `json:"name"`
	OwnerType  string          `json:"owner_type,omitempty" enum:"instance,account,service" doc:"instance if it is missing"`
	OwnerID    string          `json:"owner_id,omitempty"`
	Kind       string          `json:"kind,omitempty" enum:",ok,uk,sk,tk"`
	Scopes     []string        `json:"scopes,omitempty"`
	Audience   []string        `json:"audience,omitempty"`
	Allow      []string        `json:"allow,omitempty"`
	Deny       []string        `json:"deny,omitempty"`
	RateLimits []string        `json:"rate_limits,omitempty" doc:"Like 600/m or daily:100000/d"`
	Quota      string          `json:"quota,omitempty" maxLength:"40" doc:"Like 100000/30d: on all copies of the server together"`
	QuotaID    string          `json:"quota_id,omitempty" maxLength:"100" doc:"In its place: the quota of another key, to share it"`
	IdleExpiry int64           `json:"idle_expiry_seconds,omitempty" minimum:"0" doc:"Disables the key when it was not used for so long: a day to 366 days. Missing: never"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	NotBefore  *time.Time      `json:"not_before,omitempty"`
	ExpiresAt  *time.Time      `json:"expires_at,omitempty" doc:"In 90 days if it is missing"`
	SHA256     string          `json:"sha256,omitempty" doc:"Imports a key of another system: the SHA-256 of the whole key, in hexadecimal"`
}

// A KeyChange is what to make different of a key. What is left out stays as it is.
type KeyChange struct {
	Name       *string         `json:"name,omitempty"`
	Scopes     *[]string       `json:"scopes,omitempty"`
	Audience   *[]string       `json:"audience,omitempty"`
	Allow      *[]string       `json:"allow,omitempty"`
	Deny       *[]string       `json:"deny,omitempty"`
	RateLimits *[]string       `json:"rate_limits,omitempty"`
	Quota      *string         `json:"quota,omitempty" maxLength:"40" doc:"For every key with the same quota; what is spent stays spent. Empty: none for this key"`
	IdleExpiry *int64          `json:"idle_expiry_seconds,omitempty" minimum:"0" doc:"0: it may be idle"`
	Metadata   json.RawMessage `json:"metadata,omitempty" doc:"Replaces all of it"`
	ExpiresAt  *time.Time      `json:"expires_at,omitempty"`
}

// A NewReason says why.
type NewReason struct {
	Reason string `json:"reason,omitempty" maxLength:"200"`
	Leaked bool   `json:"leaked,omitempty" doc:"Somebody else has the key"`
}

// A RevokedKey is a key that was just revoked.
type RevokedKey struct {
	Key
	Propagated *bool `json:"propagated,omitempty" doc:"Whether every copy of the server refuses it by now. Only if the request asked to wait; false after 3 seconds: it is revoked all the same"`
}

// A NewRotation says for how long the old key goes on to work.
type NewRotation struct {
	GraceSeconds int64 `json:"grace_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"0: it ends now"`
}

// A NewLookup is a key that somebody found.
type NewLookup struct {
	Found string `json:"found" minLength:"1" maxLength:"600" doc:"The id, the SHA-256 in hexadecimal, or the key itself"`
}

type (
	apiKeyInput struct {
		ID string `path:"key_id" maxLength:"100"`
	}
	apiKeysInput struct {
		Paging
		Owner string `query:"owner_id" maxLength:"100" doc:"Only of this account or service account"`
	}
	addKeyInput struct{ Body NewKey }
	setKeyInput struct {
		ID   string `path:"key_id" maxLength:"100"`
		Body KeyChange
	}
	reasonInput struct {
		ID   string `path:"key_id" maxLength:"100"`
		Body *NewReason
	}
	revokeKeyInput struct {
		ID   string `path:"key_id" maxLength:"100"`
		Body *NewReason
		Wait bool `query:"wait" doc:"Answer when every copy of the server has confirmed that it refuses the key, or after 3 seconds"`
	}
	rotateKeyInput struct {
		ID   string `path:"key_id" maxLength:"100"`
		Body *NewRotation
	}
	lookupInput    struct{ Body NewLookup }
	keyOutput      struct{ Body Key }
	revokedOutput  struct{ Body RevokedKey }
	addedKeyOutput struct{ Body AddedKey }
)

// by says who makes the change of a request.
func (a *api) by(ctx context.Context) apikeys.By {
	caller, _ := bearer.FromContext(ctx)
	from, _ := ctx.Value(addressKey{}).(string)
	return apikeys.By{Actor: caller.Credential, Via: "api", Address: from, RequestID: a.RequestID(ctx)}
}

// giver is by, with the key that makes the change: what it does to others depends on what it has.
func (a *api) giver(ctx context.Context) (apikeys.By, error) {
	by := a.by(ctx)
	k, err := a.APIKeys.Get(ctx, by.Actor)
	by.Giver = &k
	return by, err
}

func (a *api) listAPIKeys(ctx context.Context, in *apiKeysInput) (*pageOutput[Key], error) {
	page, err := a.reads(ctx, "keys", in.Paging)
	if err != nil {
		return nil, err
	}
	found, err := a.APIKeys.List(ctx, apikeys.Page{After: page.after, Limit: page.more()}, in.Owner)
	if err != nil {
		return nil, err
	}
	return part(page, found, func(k apikeys.Key) string { return k.ID }, showAPIKey(time.Now())), nil
}

func (a *api) getAPIKey(ctx context.Context, in *apiKeyInput) (*keyOutput, error) {
	k, err := a.APIKeys.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &keyOutput{showAPIKey(time.Now())(k)}, nil
}

func (a *api) addAPIKey(ctx context.Context, in *addKeyInput) (*addedKeyOutput, error) {
	n := apikeys.New{
		Name: in.Body.Name, OwnerType: in.Body.OwnerType, OwnerID: in.Body.OwnerID, Kind: in.Body.Kind,
		Scopes: in.Body.Scopes, Audience: in.Body.Audience, Allow: in.Body.Allow, Deny: in.Body.Deny,
		Limits: in.Body.RateLimits, Metadata: in.Body.Metadata,
		Quota: in.Body.Quota, QuotaID: in.Body.QuotaID, IdleExpiry: time.Duration(in.Body.IdleExpiry) * time.Second,
	}
	if in.Body.NotBefore != nil {
		n.NotBefore = *in.Body.NotBefore
	}
	if in.Body.ExpiresAt != nil {
		n.ExpiresAt = *in.Body.ExpiresAt
	}
	if in.Body.SHA256 != "" {
		digest, err := hex.DecodeString(in.Body.SHA256)
		if err != nil {
			return nil, wrong("sha256", "is not 64 hexadecimal digits")
		}
		n.SHA256 = digest
	}
	by, err := a.giver(ctx)
	if err != nil {
		return nil, err
	}
	k, text, err := a.APIKeys.Make(ctx, n, by)
	if err != nil {
		return nil, err
	}
	return &addedKeyOutput{AddedKey{showAPIKey(time.Now())(k), text.Reveal()}}, nil
}

func (a *api) setAPIKey(ctx context.Context, in *setKeyInput) (*keyOutput, error) {
	by, err := a.giver(ctx)
	if err != nil {
		return nil, err
	}
	change := apikeys.Change{
		Name: in.Body.Name, Scopes: in.Body.Scopes, Audience: in.Body.Audience, Allow: in.Body.Allow, Deny: in.Body.Deny,
		Limits: in.Body.RateLimits, Metadata: in.Body.Metadata, ExpiresAt: in.Body.ExpiresAt, Quota: in.Body.Quota,
	}
	if in.Body.IdleExpiry != nil {
		idle := time.Duration(*in.Body.IdleExpiry) * time.Second
		change.IdleExpiry = &idle
	}
	k, err := a.APIKeys.Change(ctx, in.ID, change, by)
	if err != nil {
		return nil, err
	}
	return &keyOutput{showAPIKey(time.Now())(k)}, nil
}

func (a *api) disableAPIKey(ctx context.Context, in *reasonInput) (*keyOutput, error) {
	by, err := a.giver(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.APIKeys.Disable(ctx, in.ID, reasonOf(in.Body).Reason, by); err != nil {
		return nil, err
	}
	return a.getAPIKey(ctx, &apiKeyInput{in.ID})
}

func (a *api) enableAPIKey(ctx context.Context, in *apiKeyInput) (*keyOutput, error) {
	by, err := a.giver(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.APIKeys.Enable(ctx, in.ID, by); err != nil {
		return nil, err
	}
	return a.getAPIKey(ctx, in)
}

func (a *api) revokeAPIKey(ctx context.Context, in *revokeKeyInput) (*revokedOutput, error) {
	why := reasonOf(in.Body)
	by, err := a.giver(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.APIKeys.Revoke(ctx, in.ID, why.Reason, why.Leaked, by); err != nil {
		return nil, err
	}
	k, err := a.getAPIKey(ctx, &apiKeyInput{in.ID})
	if err != nil {
		return nil, err
	}
	out := &revokedOutput{RevokedKey{Key: k.Body}}
	if in.Wait {
		all, err := a.Propagated(ctx)
		if err != nil {
			// The key is revoked. Who knows it can't be found out.
			a.Log.WarnContext(ctx, "nobody knows which copies refuse a revoked key", "key", in.ID, "err", err, "request_id", a.RequestID(ctx))
		}
		out.Body.Propagated = &all
	}
	return out, nil
}

func reasonOf(given *NewReason) NewReason {
	if given == nil {
		return NewReason{}
	}
	return *given
}

func (a *api) rotateAPIKey(ctx context.Context, in *rotateKeyInput) (*addedKeyOutput, error) {
	var grace time.Duration
	if in.Body != nil {
		grace = time.Duration(in.Body.GraceSeconds) * time.Second
	}
	by, err := a.giver(ctx)
	if err != nil {
		return nil, err
	}
	k, text, err := a.APIKeys.Rotate(ctx, in.ID, grace, by)
	if err != nil {
		return nil, err
	}
	return &addedKeyOutput{AddedKey{showAPIKey(time.Now())(k), text.Reveal()}}, nil
}

func (a *api) lookUpAPIKey(ctx context.Context, in *lookupInput) (*keyOutput, error) {
	k, err := a.APIKeys.Find(ctx, in.Body.Found)
	if err != nil {
		return nil, err
	}
	return &keyOutput{showAPIKey(time.Now())(k)}, nil
}

// isLimited turns the refusal of a limited key into a problem.
func isLimited(err error) (*apikeys.TooMany, bool) { return errors.AsType[*apikeys.TooMany](err) }
