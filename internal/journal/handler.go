package journal

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// secrets are the names of attributes whose values are never written. Whatever a line is about, one
// of these is a secret that somebody forgot.
var secrets = []string{"authorization", "cookie", "token", "secret", "password", "client_secret", "client_assertion", "code_verifier"}

func isSecret(name string) bool {
	for _, s := range secrets {
		if len(s) == len(name) && strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

const redacted = "[redacted]"

// A Handler writes records as [slog.JSONHandler] does, or [slog.TextHandler], and no secrets. It is
// safe for concurrent use.
type Handler struct {
	inner  slog.Handler
	to     *Writer
	inJSON bool       // and nothing comes before the attributes of a record
	room   *sync.Pool // of *[]byte
}

// NewHandler returns a handler for records of a level and above.
func NewHandler(to *Writer, level slog.Leveler, inJSON bool) *Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if isSecret(a.Key) {
			return slog.String(a.Key, redacted)
		}
		return a
	}}
	h := &Handler{to: to, inJSON: inJSON, room: &sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}}
	if inJSON {
		h.inner = slog.NewJSONHandler(to, options)
	} else {
		h.inner = slog.NewTextHandler(to, options)
	}
	return h
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{inner: h.inner.WithAttrs(attrs), to: h.to, room: h.room}
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{inner: h.inner.WithGroup(name), to: h.to, room: h.room}
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	err := h.write(ctx, r)
	if r.Level > slog.LevelInfo {
		return h.to.Flush()
	}
	return err
}

func (h *Handler) write(ctx context.Context, r slog.Record) error {
	if !h.inJSON {
		return h.inner.Handle(ctx, r)
	}
	room := h.room.Get().(*[]byte)
	defer h.room.Put(room)
	line, ok := appendPlain((*room)[:0], r)
	if !ok {
		return h.inner.Handle(ctx, r)
	}
	*room = line[:0]
	_, err := h.to.Write(line)
	return err
}

// appendPlain appends what [slog.JSONHandler] would write of a record, unless there is more in it
// than whole numbers, and texts that need no escape.
func appendPlain(b []byte, r slog.Record) (line []byte, ok bool) {
	if r.Time.IsZero() || !plain(r.Message) {
		return b, false
	}
	if year := r.Time.Year(); year < 0 || year > 9999 {
		return b, false
	}
	b = r.Time.AppendFormat(append(b, `{"time":"`...), time.RFC3339Nano)
	b = append(append(append(b, `","level":"`...), r.Level.String()...), `","msg":"`...)
	b = append(append(b, r.Message...), '"')
	ok = true
	r.Attrs(func(a slog.Attr) bool {
		ok = plain(a.Key) && a.Key != ""
		if !ok {
			return false
		}
		b = append(append(append(b, `,"`...), a.Key...), `":`...)
		switch {
		case isSecret(a.Key):
			b = append(b, `"`+redacted+`"`...)
		case a.Value.Kind() == slog.KindInt64:
			b = strconv.AppendInt(b, a.Value.Int64(), 10)
		case a.Value.Kind() == slog.KindString && plain(a.Value.String()):
			b = append(append(append(b, '"'), a.Value.String()...), '"')
		default:
			ok = false
		}
		return ok
	})
	return append(b, "}\n"...), ok
}

// plain says whether JSON has a text as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
