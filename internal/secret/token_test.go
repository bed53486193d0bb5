package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestATokenDoesNotShowItself(t *testing.T) {
	token := Wrap("mm_sk_very-secret")
	inside := struct {
		Name  string
		Token Token
	}{"x", token}
	pointer := &inside

	var logged bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(handler).Info("a token", "token", token, "inside", inside, slog.Any("pointer", &token))
	}
	for form, text := range map[string]string{
		"%v": fmt.Sprintf("%v", token), "%+v": fmt.Sprintf("%+v", inside), "%#v": fmt.Sprintf("%#v", inside),
		"%s": fmt.Sprintf("a %s", token), "%q": fmt.Sprintf("%q", token), "pointer": fmt.Sprintf("%+v", pointer),
		"String": token.String(), "log": logged.String(),
	} {
		if strings.Contains(text, "very-secret") {
			t.Errorf("%s shows it: %s", form, text)
		}
	}
	if out, err := json.Marshal(inside); err == nil || strings.Contains(string(out), "very-secret") {
		t.Errorf("JSON shows it: %s", out)
	}
	if token.Reveal() != "mm_sk_very-secret" {
		t.Errorf("it does not even show itself to Reveal: %s", token.Reveal())
	}
}

func TestADigestMatchesItsTokenOnly(t *testing.T) {
	token := Wrap("one")
	digest := token.Digest()
	other := Wrap("two").Digest()
	for _, tt := range []struct {
		name   string
		stored []byte
		want   bool
	}{
		{"its own", digest[:], true},
		{"another", other[:], false},
		{"cut", digest[:31], false},
		{"empty", nil, false},
		{"longer", append(digest[:], 0), false},
	} {
		if got := token.Digest().Matches(tt.stored); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if (Token{}).IsZero() != true || token.IsZero() {
		t.Error("IsZero is wrong")
	}
}
