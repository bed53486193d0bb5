package apikeys

import (
	"context"
	"strings"
	"unicode/utf8"

	"mintmark/internal/secret"
)

const servicePrefix = "svc"

// AddService adds a service account. No two have the same name: [ErrExists].
func (r *Registry) AddService(ctx context.Context, name, description string, by By) (Service, error) {
	s := Service{ID: secret.NewID(servicePrefix), Name: strings.TrimSpace(name), Description: description, CreatedAt: instant(by.At), CreatedBy: by.Actor}
	switch {
	case s.Name == "" || len(s.Name) > 200 || !utf8.ValidString(s.Name) || strings.ContainsFunc(s.Name, control):
		return Service{}, &Invalid{"name", "is empty, longer than 200 bytes or not plain text"}
	case len(description) > 1000 || !utf8.ValidString(description) || strings.ContainsRune(description, 0):
		return Service{}, &Invalid{"description", "is longer than 1000 bytes or not plain text"}
	}
	return s, r.Store.AddService(ctx, s, by.event("service.add", s.ID, "%s", s.Name))
}

// DisableService refuses every key of a service account, at once.
func (r *Registry) DisableService(ctx context.Context, id string, by By) error {
	defer r.ForgetOwner(id)
	return r.Store.DisableService(ctx, id, by.event("service.disable", id, ""))
}

// EnableService takes DisableService back.
func (r *Registry) EnableService(ctx context.Context, id string, by By) error {
	defer r.ForgetOwner(id)
	return r.Store.EnableService(ctx, id, by.event("service.enable", id, ""))
}

// RemoveService forgets a service account and revokes its keys.
func (r *Registry) RemoveService(ctx context.Context, id string, by By) error {
	defer r.ForgetOwner(id)
	return r.Store.RemoveService(ctx, id, by.event("service.remove", id, ""))
}
