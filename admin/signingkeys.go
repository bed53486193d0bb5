package admin

import (
	"context"
	"slices"
	"time"

	"mintmark/keys"
)

// A SigningKey is a key that signs tokens, as JSON: never its private half.
type SigningKey struct {
	ID         string    `json:"kid" doc:"As in the header of every token that it signs"`
	Alg        string    `json:"alg" enum:"ES256,RS256"`
	State      string    `json:"state" enum:"published,active,retiring,remembered,revoked" doc:"published: announced, does not sign yet. active: signs. retiring: its tokens are still good. remembered: gone from the JWKS. revoked: refused"`
	Generation int64     `json:"generation"`
	CreatedAt  time.Time `json:"created_at"`
	SignsAt    time.Time `json:"signs_at"`
	RetiresAt  time.Time `json:"retires_at,omitzero"`
	GoneAt     time.Time `json:"gone_at,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
}

func showKey(s keys.Status) SigningKey {
	return SigningKey{
		ID: s.ID, Alg: string(s.Alg), State: string(s.State), Generation: s.Generation,
		CreatedAt: s.CreatedAt.UTC(), SignsAt: s.SignsAt.UTC(),
		RetiresAt: orZero(s.RetiresAt), GoneAt: orZero(s.GoneAt), RevokedAt: orZero(s.RevokedAt),
	}
}

// orZero returns a time in UTC, and the zero time as it is, so that it is left out.
func orZero(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// A Rotation says which keys to make. Without it, every ring gets one that is announced first.
type Rotation struct {
	Alg         string `json:"alg,omitempty" enum:"ES256,RS256" doc:"Only this ring; every ring if it is missing"`
	Immediately bool   `json:"immediately,omitempty" doc:"Sign with the new key at once. Whoever has cached the JWKS refuses its tokens until they look again"`
}

type (
	keyInput struct {
		ID string `path:"kid" maxLength:"100"`
	}
	keysInput   struct{ Paging }
	rotateInput struct{ Body *Rotation }
	keysOutput  struct{ Body Page[SigningKey] }
)

func (a *api) listKeys(ctx context.Context, in *keysInput) (*pageOutput[SigningKey], error) {
	page, err := a.reads(ctx, "signing-keys", in.Paging)
	if err != nil {
		return nil, err
	}
	all := a.Keys.List(time.Now())
	if at := slices.IndexFunc(all, func(s keys.Status) bool { return s.ID == page.after }); at >= 0 {
		all = all[at+1:]
	}
	return part(page, all, func(s keys.Status) string { return s.ID }, showKey), nil
}

// rotateKeys makes a key for each ring that is asked for, and answers with those keys.
func (a *api) rotateKeys(ctx context.Context, in *rotateInput) (*keysOutput, error) {
	var made []string
	if in.Body == nil {
		in.Body = &Rotation{}
	}
	for _, alg := range keys.Algs {
		if in.Body.Alg != "" && in.Body.Alg != string(alg) {
			continue
		}
		kid, err := a.Keys.Rotate(ctx, alg, in.Body.Immediately)
		if err != nil {
			return nil, err
		}
		made = append(made, kid)
	}
	out := &keysOutput{Page[SigningKey]{Items: []SigningKey{}}}
	for _, status := range a.Keys.List(time.Now()) {
		if slices.Contains(made, status.ID) {
			out.Body.Items = append(out.Body.Items, showKey(status))
		}
	}
	return out, nil
}

func (a *api) revokeKey(ctx context.Context, in *keyInput) (*done, error) {
	return &done{}, a.Keys.Revoke(ctx, in.ID)
}
