package admin

import (
	"context"
	"time"

	"mintmark/accounts"
)

// A Session is a browser that a person signed in with, as JSON.
type Session struct {
	ID        string    `json:"id" doc:"The sid of ID tokens" example:"ses_02eaH8NZTN8sO0qkq5Rm5c"`
	UserID    string    `json:"user_id"`
	AuthTime  time.Time `json:"auth_time" doc:"When the person last showed who they are"`
	AMR       []string  `json:"amr" nullable:"false" doc:"How, RFC 8176"`
	ACR       string    `json:"acr,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at" doc:"When the session was last used, to the minute"`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends at the latest"`
	Address   string    `json:"address,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

func showSession(s accounts.Session) Session {
	return Session{
		ID: s.ID, UserID: s.AccountID, AuthTime: s.AuthTime.UTC(), AMR: append([]string{}, s.AMR...), ACR: s.ACR,
		CreatedAt: s.CreatedAt.UTC(), SeenAt: s.SeenAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(),
		Address: s.Address, UserAgent: s.UserAgent,
	}
}

type (
	sessionInput struct {
		ID string `path:"session_id" maxLength:"100"`
	}
	sessionsInput struct {
		Paging
		UserID string `query:"user_id" maxLength:"100" doc:"Only of this person"`
	}
	userSessionsInput struct {
		ID string `path:"user_id" maxLength:"100"`
		Paging
	}
)

func (a *api) listSessions(ctx context.Context, in *sessionsInput) (*pageOutput[Session], error) {
	page, err := a.reads(ctx, "sessions", in.Paging)
	if err != nil {
		return nil, err
	}
	found, err := a.Accounts.Store.Sessions(ctx, accounts.Page{After: page.after, Limit: page.more()}, in.UserID, time.Now())
	if err != nil {
		return nil, err
	}
	return part(page, found, func(s accounts.Session) string { return s.ID }, showSession), nil
}

func (a *api) listUserSessions(ctx context.Context, in *userSessionsInput) (*pageOutput[Session], error) {
	if _, err := a.Accounts.Account(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.listSessions(ctx, &sessionsInput{in.Paging, in.ID})
}

func (a *api) revokeSession(ctx context.Context, in *sessionInput) (*done, error) {
	return &done{}, a.Accounts.Store.EndSession(ctx, in.ID, accounts.ReasonRevoked, time.Now())
}

func (a *api) revokeUserSessions(ctx context.Context, in *userInput) (*done, error) {
	if _, err := a.Accounts.Account(ctx, in.ID); err != nil {
		return nil, err
	}
	return &done{}, a.Accounts.Store.EndSessions(ctx, in.ID, accounts.ReasonRevoked, time.Now())
}
