package admin

import (
	"context"
	"strings"
	"time"

	"mintmark/issuer"
)

// A Grant is what a person allowed an application, as JSON.
type Grant struct {
	ID        string    `json:"id" doc:"The ids of the person and of the application, with a colon between them"`
	UserID    string    `json:"user_id"`
	ClientID  string    `json:"client_id"`
	Scope     string    `json:"scope" doc:"What was allowed, separated by spaces"`
	GrantedAt time.Time `json:"granted_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func showGrant(c issuer.Consent) Grant {
	return Grant{
		ID: c.AccountID + ":" + c.ClientID, UserID: c.AccountID, ClientID: c.ClientID,
		Scope: strings.Join(c.Scopes, " "), GrantedAt: c.GrantedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
}

type (
	grantInput struct {
		ID string `path:"grant_id" maxLength:"400"`
	}
	grantsInput struct {
		Paging
		UserID   string `query:"user_id" maxLength:"100" doc:"Only of this person"`
		ClientID string `query:"client_id" maxLength:"255" doc:"Only to this application"`
	}
)

func (a *api) listGrants(ctx context.Context, in *grantsInput) (*pageOutput[Grant], error) {
	page, err := a.reads(ctx, "grants", in.Paging)
	if err != nil {
		return nil, err
	}
	found, err := a.Registry.Consents(ctx, issuer.Page{After: page.after, Limit: page.more()}, in.UserID, in.ClientID)
	if err != nil {
		return nil, err
	}
	return part(page, found, func(c issuer.Consent) string { return c.AccountID + " " + c.ClientID }, showGrant), nil
}

func (a *api) revokeGrant(ctx context.Context, in *grantInput) (*done, error) {
	// The id of an account has no colon; that of an application may have one.
	user, client, ok := strings.Cut(in.ID, ":")
	if !ok {
		return nil, issuer.ErrNotFound
	}
	return &done{}, a.Registry.RevokeConsent(ctx, user, client, time.Now())
}
