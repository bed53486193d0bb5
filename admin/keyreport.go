package admin

import (
	"context"
	"encoding/base64"
	"time"

	"mintmark/apikeys"
)

// A ReportedKey is an API key that needs a look.
type ReportedKey struct {
	Key
	Findings     []string `json:"findings" nullable:"false" doc:"leaked; never_expires; expires_late: in more than 180 days; never_used: for a week; idle: for 90 days; wider_than_used: it has scopes that it was never used for; admin_from_anywhere: a key of the instance that is bound to no network"`
	UnusedScopes []string `json:"unused_scopes,omitempty" doc:"Scopes that it was never used for"`
}

type keyReportInput struct {
	Paging
	Owner   string `query:"owner_id" maxLength:"100" doc:"Only of this account or service account"`
	Finding string `query:"finding" enum:"leaked,never_expires,expires_late,never_used,idle,wider_than_used,admin_from_anywhere" doc:"Only with this finding"`
}

// reportKeys looks through a part of the keys. A part can be empty and not be the last.
func (a *api) reportKeys(ctx context.Context, in *keyReportInput) (*pageOutput[ReportedKey], error) {
	page, err := a.reads(ctx, "report", in.Paging)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	found, next, err := a.APIKeys.Report(ctx, apikeys.Page{After: page.after, Limit: page.limit}, in.Owner, in.Finding, now)
	if err != nil {
		return nil, err
	}
	out := Page[ReportedKey]{Items: []ReportedKey{}}
	for _, k := range found {
		out.Items = append(out.Items, ReportedKey{showAPIKey(now)(k.Key), k.Findings, k.UnusedScopes})
	}
	if next != "" {
		out.Next = base64.RawURLEncoding.EncodeToString(append(page.mac(next), next...))
	}
	return &pageOutput[ReportedKey]{out}, nil
}
