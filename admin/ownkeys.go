package admin

import (
	"context"
	"net/http"
	"time"

	"mintmark/apikeys"
	"mintmark/bearer"
)

// A NewOwnKey is a key that a person makes for themselves.
type NewOwnKey struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes,omitempty" doc:"Of those that the operator lets people give (keys.own_scopes), and that the access token has"`
	Allow     []string   `json:"allow,omitempty" doc:"Networks that it may be used from"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"In 90 days if it is missing"`
}

type addOwnInput struct{ Body NewOwnKey }

// person returns the caller, who comes with an access token of a person, or a problem. No key does:
// not even a token that was exchanged for one.
func (a *api) person(w http.ResponseWriter, r *http.Request, scope string) (bearer.Principal, *Problem) {
	if a.People == nil {
		return bearer.Principal{}, refuse(notFound, "This server has no keys of people.")
	}
	rule := bearer.Rule{All: []string{scope}}
	p, err := a.People.Identify(r, rule)
	if err == nil && (p.Method != bearer.MethodBearer || p.Key != "" || p.Authorization == "" || p.Actor != "") {
		err = bearer.ErrMethod
	}
	if err != nil {
		return bearer.Principal{}, a.refusal(w, r, rule, err)
	}
	return p, nil
}

// own is the keys of the person whose access token came with a request, as far as the application
// that has it may look after them.
func (a *api) own(ctx context.Context) apikeys.Own {
	caller, _ := bearer.FromContext(ctx)
	by := a.by(ctx)
	by.Actor, by.Via = caller.Subject, "client "+caller.ClientID
	return a.APIKeys.Own(caller.Subject, by).By(caller.Scopes)
}

func (a *api) listOwnKeys(ctx context.Context, in *Paging) (*pageOutput[Key], error) {
	caller, _ := bearer.FromContext(ctx)
	page, err := a.reads(ctx, "keys of "+caller.Subject, *in)
	if err != nil {
		return nil, err
	}
	found, err := a.own(ctx).List(ctx, apikeys.Page{After: page.after, Limit: page.more()})
	if err != nil {
		return nil, err
	}
	return part(page, found, func(k apikeys.Key) string { return k.ID }, showAPIKey(time.Now())), nil
}

func (a *api) addOwnKey(ctx context.Context, in *addOwnInput) (*addedKeyOutput, error) {
	n := apikeys.New{Name: in.Body.Name, Scopes: in.Body.Scopes, Allow: in.Body.Allow}
	if in.Body.ExpiresAt != nil {
		n.ExpiresAt = *in.Body.ExpiresAt
	}
	k, text, err := a.own(ctx).Make(ctx, n)
	if err != nil {
		return nil, err
	}
	return &addedKeyOutput{AddedKey{showAPIKey(time.Now())(k), text.Reveal()}}, nil
}

func (a *api) rotateOwnKey(ctx context.Context, in *rotateKeyInput) (*addedKeyOutput, error) {
	var grace time.Duration
	if in.Body != nil {
		grace = time.Duration(in.Body.GraceSeconds) * time.Second
	}
	k, text, err := a.own(ctx).Rotate(ctx, in.ID, grace)
	if err != nil {
		return nil, err
	}
	return &addedKeyOutput{AddedKey{showAPIKey(time.Now())(k), text.Reveal()}}, nil
}

func (a *api) revokeOwnKey(ctx context.Context, in *reasonInput) (*keyOutput, error) {
	why := reasonOf(in.Body)
	k, err := a.own(ctx).Revoke(ctx, in.ID, why.Reason, why.Leaked)
	if err != nil {
		return nil, err
	}
	return &keyOutput{showAPIKey(time.Now())(k)}, nil
}
