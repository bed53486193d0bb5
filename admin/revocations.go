package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"mintmark/apikeys"
	"mintmark/bearer"
	"mintmark/keys"
	"mintmark/revocations"
)

// The bounds of what is told at a time.
const (
	revocationsPage     = 2000
	snapshotLife        = time.Minute
	streamWriteTimeout  = 5 * time.Second // a reader that takes longer for a message is not waited for
	streamRetryMillis   = "1000"
	streamCheckInterval = revocations.BeatEvery // of the reader's own key
)

type (
	revocationsInput struct {
		Since  string `query:"since" maxLength:"400" doc:"The id of a message, or the seq or next of an answer: what comes after it. Empty: everything that still matters"`
		LastID string `header:"Last-Event-ID" maxLength:"400" doc:"What a browser sends in place of since"`
		Accept string `header:"Accept" doc:"text/event-stream: go on to tell what is revoked"`
	}
	snapshotInput struct {
		Since string `query:"since" maxLength:"400" doc:"The next of the snapshot before; empty: from the start"`
	}
)

// A RevocationPage is what is revoked, a part at a time.
type RevocationPage struct {
	Items []revocations.Revocation `json:"items"`
	Seq   string                   `json:"seq"`            // since, when there is no next
	Next  string                   `json:"next,omitempty"` // since, for the next part
}

// readRevocations tells what is revoked: with Accept: text/event-stream for as long as the reader
// stays, otherwise a page.
func (a *api) readRevocations(ctx context.Context, in *revocationsInput) (*huma.StreamResponse, error) {
	since := in.Since
	if in.LastID != "" {
		since = in.LastID
	}
	if strings.Contains(in.Accept, "text/event-stream") {
		return a.streamRevocations(ctx, since)
	}
	p, err := revocations.Read(ctx, a.Revocations.Store, since, revocationsPage, time.Now())
	if err != nil {
		return nil, cursorProblem(err)
	}
	return plain("application/json", RevocationPage{append([]revocations.Revocation{}, p.Found...), p.Here, p.Next})
}

// cursorProblem turns what is wrong with a cursor into a problem.
func cursorProblem(err error) error {
	switch {
	case errors.Is(err, revocations.ErrCursor):
		return refuse(badRequest, "The cursor is not one of this list.").field("query", "since", "is not the id, seq or next of an answer").because(err)
	case errors.Is(err, revocations.ErrEpoch):
		return refuse(gone, "The database is not the one that this cursor is from. Begin anew, with a snapshot.").because(err)
	case errors.Is(err, revocations.ErrFull), errors.Is(err, revocations.ErrEnded):
		return refuse(busy, "This copy of the server takes no more listeners. Try again.").because(err)
	}
	return err
}

// plain is an answer that the library does not look at.
func plain(kind string, body any) (*huma.StreamResponse, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return bytesOf(kind, text), nil
}

func bytesOf(kind string, text []byte) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", kind)
		_, _ = ctx.BodyWriter().Write(text) // nobody is left to tell
	}}
}

// streamRevocations first joins, then tells what was before, then what comes: nothing falls
// between. What is at the seam is told twice.
func (a *api) streamRevocations(ctx context.Context, since string) (*huma.StreamResponse, error) {
	caller, _ := bearer.FromContext(ctx)
	listener, err := a.Revocations.Join(ctx, caller.Subject)
	if err != nil {
		return nil, cursorProblem(err)
	}
	var first revocations.Page
	if since == "" {
		first, err = revocations.Read(ctx, a.Revocations.Store, "", 1, time.Now())
		first.Found, first.Next = nil, "" // from now on
	} else {
		first, err = revocations.Read(ctx, a.Revocations.Store, since, revocationsPage, time.Now())
	}
	if err != nil {
		listener.Leave()
		return nil, cursorProblem(err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer listener.Leave()
		r, w := humamux.Unwrap(ctx)
		s := &stream{a: a, r: r, w: w, out: http.NewResponseController(w)}
		if err := s.tell(listener, first); err != nil {
			a.Log.DebugContext(r.Context(), "a listener is gone", "err", err, "request_id", a.RequestID(r.Context()))
		}
	}}, nil
}

// A stream is one listener's connection.
type stream struct {
	a   *api
	r   *http.Request
	w   http.ResponseWriter
	out *http.ResponseController
}

func (s *stream) tell(listener *revocations.Listener, p revocations.Page) error {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep it until it is much
	// The server's own limits are for requests that end.
	if err := s.out.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := s.write([]byte("retry: " + streamRetryMillis + "\n\n")); err != nil {
		return err
	}
	for {
		id := p.Here
		if p.Next != "" {
			id = "" // whoever has only this must ask for it once more
		}
		for _, text := range revocations.Messages(p.Found, id) {
			if err := s.write(text); err != nil {
				return err
			}
		}
		if p.Next == "" {
			break
		}
		var err error
		if p, err = revocations.Read(s.r.Context(), s.a.Revocations.Store, p.Next, revocationsPage, time.Now()); err != nil {
			return err
		}
	}
	check := time.NewTicker(streamCheckInterval)
	defer check.Stop()
	for {
		select {
		case text, ok := <-listener.C:
			if !ok {
				return errors.New("it was too slow, or the server ends")
			}
			if err := s.write(text); err != nil {
				return err
			}
		case <-check.C:
			_, err := s.a.Guard.Identify(s.r, bearer.Rule{All: []string{apikeys.ScopeRevocations}})
			if e, refused := errors.AsType[*bearer.Error](err); refused && e.Status < http.StatusTooManyRequests {
				return err
			}
		case <-s.r.Context().Done():
			return s.r.Context().Err()
		}
	}
}

func (s *stream) write(text []byte) error {
	if err := s.out.SetWriteDeadline(time.Now().Add(streamWriteTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.out.Flush()
}

// A revocationsToken is the claims of a snapshot.
type revocationsToken struct {
	Issuer      string                   `json:"iss"`
	Audience    string                   `json:"aud"`
	IssuedAt    int64                    `json:"iat"`
	Expires     int64                    `json:"exp"`
	Seq         string                   `json:"seq"`
	Revocations []revocations.Revocation `json:"revocations"`
	Next        string                   `json:"next,omitempty"`
}

// snapshotRevocations signs what is revoked, so that it can be passed on.
func (a *api) snapshotRevocations(ctx context.Context, in *snapshotInput) (*huma.StreamResponse, error) {
	now := time.Now()
	p, err := revocations.Read(ctx, a.Revocations.Store, in.Since, revocationsPage, now)
	if err != nil {
		return nil, cursorProblem(err)
	}
	claims, err := json.Marshal(revocationsToken{
		Issuer: a.Issuer, Audience: a.Issuer, IssuedAt: now.Unix(), Expires: now.Add(snapshotLife).Unix(),
		Seq: p.Here, Revocations: append([]revocations.Revocation{}, p.Found...), Next: p.Next,
	})
	if err != nil {
		return nil, err
	}
	token, err := a.Keys.Append(nil, keys.ES256, "revocations+jwt", claims)
	if err != nil {
		return nil, err
	}
	return bytesOf("application/revocations+jwt", token), nil
}
