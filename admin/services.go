package admin

import (
	"context"
	"time"

	"mintmark/apikeys"
)

// A Service is a program that owns API keys: a service account.
type Service struct {
	ID          string    `json:"id" example:"svc_02eaH8NZTN8sO0qkq5Rm5c"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Disabled    bool      `json:"disabled"`
	DisabledAt  time.Time `json:"disabled_at,omitzero"`
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by,omitempty"`
}

func showService(s apikeys.Service) Service {
	return Service{
		ID: s.ID, Name: s.Name, Description: s.Description, Disabled: !s.DisabledAt.IsZero(), DisabledAt: s.DisabledAt,
		CreatedAt: s.CreatedAt, CreatedBy: s.CreatedBy,
	}
}

// A NewService is a service account to add.
type NewService struct {
	Name        string `json:"name" doc:"No two have the same"`
	Description string `json:"description,omitempty"`
}

type (
	serviceInput struct {
		ID string `path:"service_id" maxLength:"100"`
	}
	servicesInput struct {
		Paging
		Name string `query:"name" maxLength:"400" doc:"Only the one with this name"`
	}
	addServiceInput struct{ Body NewService }
	serviceOutput   struct{ Body Service }
)

func (a *api) listServices(ctx context.Context, in *servicesInput) (*pageOutput[Service], error) {
	page, err := a.reads(ctx, "services", in.Paging)
	if err != nil {
		return nil, err
	}
	found, err := a.APIKeys.Store.Services(ctx, apikeys.Page{After: page.after, Limit: page.more()}, in.Name)
	if err != nil {
		return nil, err
	}
	return part(page, found, func(s apikeys.Service) string { return s.ID }, showService), nil
}

func (a *api) addService(ctx context.Context, in *addServiceInput) (*serviceOutput, error) {
	s, err := a.APIKeys.AddService(ctx, in.Body.Name, in.Body.Description, a.by(ctx))
	if err != nil {
		return nil, err
	}
	return &serviceOutput{showService(s)}, nil
}

func (a *api) getService(ctx context.Context, in *serviceInput) (*serviceOutput, error) {
	s, err := a.APIKeys.Store.Service(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &serviceOutput{showService(s)}, nil
}

func (a *api) disableService(ctx context.Context, in *serviceInput) (*serviceOutput, error) {
	if err := a.APIKeys.DisableService(ctx, in.ID, a.by(ctx)); err != nil {
		return nil, err
	}
	return a.getService(ctx, in)
}

func (a *api) enableService(ctx context.Context, in *serviceInput) (*serviceOutput, error) {
	if err := a.APIKeys.EnableService(ctx, in.ID, a.by(ctx)); err != nil {
		return nil, err
	}
	return a.getService(ctx, in)
}

func (a *api) removeService(ctx context.Context, in *serviceInput) (*done, error) {
	return &done{}, a.APIKeys.RemoveService(ctx, in.ID, a.by(ctx))
}
