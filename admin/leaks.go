package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"time"

	"mintmark/apikeys"
	"mintmark/bearer"
)

// A FoundKey is what somebody found that may be an API key: an entry of the body that GitHub's secret
// scanning sends.
type FoundKey struct {
	_      struct{} `additionalProperties:"true"`
	Token  string   `json:"token" minLength:"1" maxLength:"600"`
	Type   string   `json:"type,omitempty" maxLength:"200" doc:"Comes back in the answer"`
	URL    string   `json:"url,omitempty" maxLength:"4000" doc:"Where it was found; for the audit log"`
	Source string   `json:"source,omitempty" maxLength:"200"`
}

// A Finding is the answer about one of them, in the words of GitHub's partner program ("Provide
// feedback for false positives"): token_hash or token_raw, and not both.
type Finding struct {
	TokenHash string `json:"token_hash" doc:"The SHA-256 of the token, in hexadecimal: it is not repeated"`
	TokenType string `json:"token_type"`
	Label     string `json:"label" enum:"true_positive,false_positive" doc:"true_positive: it is, or once was, an API key of this server, and is revoked now"`
}

type (
	leaksInput struct {
		Body []FoundKey `minItems:"1" maxItems:"500"`
	}
	leaksOutput struct{ Body []Finding }
)

// reportLeaks ends every key that was found.
func (a *api) reportLeaks(ctx context.Context, in *leaksInput) (*leaksOutput, error) {
	by := a.by(ctx)
	// Whoever hangs up does not keep a key alive.
	ctx = context.WithoutCancel(ctx)
	out := leaksOutput{Body: make([]Finding, len(in.Body))}
	for i, found := range in.Body {
		ours, err := a.APIKeys.Leaked(ctx, found.Token, by.Actor, found.URL, by)
		if err != nil {
			return nil, err // those before are revoked; to report them again does no harm
		}
		digest := sha256.Sum256([]byte(found.Token))
		out.Body[i] = Finding{hex.EncodeToString(digest[:]), found.Type, "false_positive"}
		if ours {
			out.Body[i].Label = "true_positive"
		}
	}
	return &out, nil
}

// reporter says who signed a request, and leaves its body as it was.
func (a *api) reporter(r *http.Request) (bearer.Principal, *Problem) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	switch {
	case err != nil:
		return bearer.Principal{}, refuse(badRequest, "The body can't be read.").because(err)
	case len(body) > MaxBody:
		return bearer.Principal{}, refuse(tooLarge, "The body is larger than %d KiB.", MaxBody>>10)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	who, err := a.Reporters.Who(r.Context(), r.Header, body, time.Now())
	switch {
	case errors.Is(err, apikeys.ErrUnsigned):
		return bearer.Principal{}, refuse(unauthenticated, "The signature is not one of a reporter that this server knows.").because(err)
	case err != nil:
		a.Log.WarnContext(r.Context(), "a report of leaked keys can't be checked", "err", err, "request_id", a.RequestID(r.Context()))
		return bearer.Principal{}, refuse(unavailable, "The keys of the reporter can't be read now. Try again in a minute.").because(err)
	}
	return bearer.Principal{Subject: who, Credential: who}, nil
}
