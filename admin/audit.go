package admin

import (
	"context"
	"time"

	"mintmark/apikeys"
)

// An Event is an entry of the audit log.
type Event struct {
	ID        string    `json:"id" doc:"In order of time"`
	At        time.Time `json:"at"`
	Actor     string    `json:"actor,omitempty" doc:"The credential or the part of the server that did it"`
	Via       string    `json:"via,omitempty"`
	Action    string    `json:"action" example:"key.revoke"`
	Ref       string    `json:"ref" doc:"The id of what was changed"`
	Detail    string    `json:"detail,omitempty"`
	Address   string    `json:"address,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
}

func showEvent(e apikeys.Event) Event {
	return Event{e.ID, e.At, e.Actor, e.Via, e.Action, e.Ref, e.Detail, e.Address, e.RequestID}
}

type eventsInput struct {
	Paging
	Ref   string `query:"ref" maxLength:"100" doc:"Only what happened to this"`
	Order string `query:"order" enum:"newest,oldest" default:"newest" doc:"Which comes first"`
	Since string `query:"since" maxLength:"100" doc:"With the oldest first: only what came after the entry with this id"`
}

func (a *api) listEvents(ctx context.Context, in *eventsInput) (*pageOutput[Event], error) {
	page, err := a.reads(ctx, "audit "+in.Order, in.Paging)
	if err != nil {
		return nil, err
	}
	forward := in.Order == "oldest"
	if page.after == "" && forward {
		page.after = in.Since
	}
	found, err := a.APIKeys.Events(ctx, apikeys.Page{After: page.after, Limit: page.more()}, in.Ref, forward)
	if err != nil {
		return nil, err
	}
	return part(page, found, func(e apikeys.Event) string { return e.ID }, showEvent), nil
}
