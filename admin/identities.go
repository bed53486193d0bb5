package admin

import (
	"context"
	"errors"
	"slices"
	"time"

	"mintmark/accounts"
	"mintmark/upstream"
)

// An Identity is an account at a provider with which a person can sign in, as JSON.
type Identity struct {
	ProviderID string    `json:"provider_id" example:"prv_02eaH8NZTN8sO0qkq5Rm5c"`
	Provider   string    `json:"provider,omitempty" doc:"The provider's name"`
	Subject    string    `json:"subject" doc:"What the provider calls the person. Together with the provider it is who they are; an address is not"`
	Email      string    `json:"email,omitempty" doc:"As the provider named it last: for people to recognise it by"`
	LinkedAt   time.Time `json:"linked_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

type (
	identitiesInput struct {
		ID string `path:"user_id" maxLength:"100"`
		Paging
	}
	identityInput struct {
		ID         string `path:"user_id" maxLength:"100"`
		ProviderID string `path:"provider_id" maxLength:"100" doc:"The id or the name"`
		Subject    string `path:"subject" maxLength:"255"`
	}
)

// listIdentities lists what is linked to a person, the oldest first. There are few: it is one page.
func (a *api) listIdentities(ctx context.Context, in *identitiesInput) (*pageOutput[Identity], error) {
	if _, err := a.Accounts.Account(ctx, in.ID); err != nil {
		return nil, err
	}
	page, err := a.reads(ctx, "identities "+in.ID, in.Paging)
	if err != nil {
		return nil, err
	}
	links, err := a.Accounts.Identities(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	providers, err := a.Providers.Providers(ctx)
	if err != nil {
		return nil, err
	}
	id := func(l accounts.Link) string { return l.ProviderID + " " + l.Subject }
	if at := slices.IndexFunc(links, func(l accounts.Link) bool { return id(l) == page.after }); page.after != "" {
		links = links[at+1:]
	}
	return part(page, links[:min(len(links), page.more())], id, func(l accounts.Link) Identity {
		shown := Identity{ProviderID: l.ProviderID, Subject: l.Subject, Email: l.Email, LinkedAt: l.LinkedAt.UTC(), LastUsedAt: orZero(l.LastUsedAt)}
		if at := slices.IndexFunc(providers, func(p upstream.Provider) bool { return p.ID == l.ProviderID }); at >= 0 {
			shown.Provider = providers[at].Name
		}
		return shown
	}), nil
}

// unlink takes an identity away from a person. The rule is that of the account page: never the last
// way in.
func (a *api) unlink(ctx context.Context, in *identityInput) (*done, error) {
	p, err := a.provider(ctx, in.ProviderID)
	if errors.Is(err, upstream.ErrNotFound) {
		p.ID, err = in.ProviderID, nil
	}
	if err != nil {
		return nil, err
	}
	err = a.Accounts.Unlink(ctx, in.ID, p.ID, in.Subject, time.Now())
	if errors.Is(err, accounts.ErrNotFound) {
		return nil, refuse(notFound, "This person has no such identity.").because(err)
	}
	return &done{}, err
}
