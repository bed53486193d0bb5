package journal_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mintmark/internal/journal"
)

// handle returns what a handler makes of a record.
func handle(t testing.TB, r slog.Record, make func(w io.Writer) slog.Handler) string {
	t.Helper()
	var b bytes.Buffer
	if err := make(&b).Handle(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func ours(w io.Writer) slog.Handler {
	return journal.NewHandler(journal.NewWriter(w), slog.LevelDebug, true)
}

func theirs(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
}

func TestALineIsThatOfJSONHandler(t *testing.T) {
	at := time.Date(2026, 11, 25, 20, 0, 0, 123456789, time.FixedZone("x", 3600))
	for _, attrs := range [][]any{
		nil,
		{"route", "/oauth/token", "status", 200, "took_us", int64(-5)},
		{"text", `with "quotes" and \ and <b>&`},
		{"text", "a\nline", "after", 1},
		{"text", "ümläut\u2028\x7f\xff"},
		{"ünkey", 1},
		{"", "no name"},
		{"b", true, "f", 1.5, "d", time.Second, "t", at, "u", uint64(7)},
		{"err", errors.New("x"), "nil", nil},
		{slog.Group("g", "a", 1)},
		{slog.Group("", "a", 1)},
		{slog.Attr{}},
		{"a", 1, "b", 2, "c", 3, "d", 4, "e", 5, "f", 6, "g", slog.AnyValue([]int{1})},
	} {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn + 1} {
			for _, at := range []time.Time{at, at.UTC(), {}} {
				r := slog.NewRecord(at, level, "request", 0)
				r.Add(attrs...)
				if got, want := handle(t, r, ours), handle(t, r, theirs); got != want {
					t.Errorf("%s want %s", got, want)
				}
			}
		}
	}
	r := slog.NewRecord(at, slog.LevelInfo, "a \"message\"", 0)
	if got, want := handle(t, r, ours), handle(t, r, theirs); got != want {
		t.Errorf("%s want %s", got, want)
	}
	with := func(make func(io.Writer) slog.Handler) func(io.Writer) slog.Handler {
		return func(w io.Writer) slog.Handler {
			return make(w).WithAttrs([]slog.Attr{slog.Int("a", 1)}).WithGroup("g")
		}
	}
	r.Add("b", 2)
	if got, want := handle(t, r, with(ours)), handle(t, r, with(theirs)); got != want {
		t.Errorf("%s want %s", got, want)
	}
}

func FuzzALineIsThatOfJSONHandler(f *testing.F) {
	f.Add("request", "route", "/oauth/token", int64(200))
	f.Add("x\"", "", "\x00", int64(-1))
	f.Fuzz(func(t *testing.T, message, name, text string, number int64) {
		if strings.EqualFold(name, "password") {
			t.Skip("it hides that")
		}
		r := slog.NewRecord(time.Unix(0, number), slog.LevelInfo, message, 0)
		r.Add("before", number, slog.String(name, text), "after", text)
		for _, secret := range []string{"authorization", "cookie", "token", "secret", "client_secret", "client_assertion", "code_verifier"} {
			if strings.EqualFold(name, secret) {
				t.Skip("and that")
			}
		}
		if got, want := handle(t, r, ours), handle(t, r, theirs); got != want {
			t.Errorf("%s want %s", got, want)
		}
	})
}

func TestWhatIsCalledASecretIsHidden(t *testing.T) {
	for _, name := range []string{"authorization", "Authorization", "cookie", "token", "secret", "password", "client_secret", "client_assertion", "CODE_verifier"} {
		for _, value := range []any{"hunter2", "\"hunter2\"", []string{"hunter2"}} {
			for _, handler := range []func(io.Writer) slog.Handler{
				ours,
				func(w io.Writer) slog.Handler { return journal.NewHandler(journal.NewWriter(w), slog.LevelInfo, false) },
				func(w io.Writer) slog.Handler { return ours(w).WithAttrs([]slog.Attr{slog.Any(name, value)}) },
			} {
				r := slog.NewRecord(time.Now(), slog.LevelInfo, "x", 0)
				r.Add(name, value, slog.Group("g", name, value))
				if got := handle(t, r, handler); strings.Contains(got, "hunter2") || !strings.Contains(got, "[redacted]") {
					t.Error(got)
				}
			}
		}
	}
}

func TestALineAllocatesNothing(t *testing.T) {
	h := ours(io.Discard)
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
	r.AddAttrs(slog.String("route", "/oauth/token"), slog.Int("status", 200))
	if n := testing.AllocsPerRun(100, func() { h.Handle(context.Background(), r) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkLine(b *testing.B) {
	w := journal.NewWriter(io.Discard)
	w.Begin()
	defer w.End()
	for name, h := range map[string]slog.Handler{"ours": journal.NewHandler(w, slog.LevelInfo, true), "JSONHandler": theirs(io.Discard)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
				r.AddAttrs(slog.String("request_id", "req_0123456789a"), slog.String("method", "GET"), slog.String("route", "/oauth/token"),
					slog.Int("status", 200), slog.Int64("took_us", 12), slog.Int64("bytes", 700), slog.String("address", "127.0.0.1"))
				h.Handle(context.Background(), r)
			}
		})
	}
}
