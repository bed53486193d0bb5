package issuer

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mintmark/internal/secret"
)

func aSealer(t *testing.T, b byte) *sealer {
	t.Helper()
	s, err := newSealer([32]byte(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedRequest(t *testing.T) {
	now := time.Now()
	p := &Provider{Config: Config{RequestTTL: 30 * time.Minute}, seal: aSealer(t, 1)}
	age := int64(60)
	q := newRequest(now)
	q.ClientID, q.Redirect, q.State, q.MaxAge = "cli", "https://app.example/cb?<&>", "ä \" \\", &age
	q.Scopes, q.Prompt, q.Browser = []string{"openid"}, []string{"login"}, []byte{1, 2, 3}
	sealed, err := p.sealRequest(&q)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.openRequest(sealed, now.Add(30*time.Minute-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&q, got); diff != "" {
		t.Error(diff)
	}

	for name, open := range map[string]func() error{
		"too old": func() error { _, err := p.openRequest(sealed, now.Add(30*time.Minute+time.Second)); return err },
		"of another key": func() error {
			other := &Provider{Config: p.Config, seal: aSealer(t, 2)}
			_, err := other.openRequest(sealed, now)
			return err
		},
		"sealed for another purpose": func() error {
			_, err := p.openRequest(p.seal.close(purposeLeaving, []byte(`{"i":"x"}`)), now)
			return err
		},
		"cut short":      func() error { _, err := p.openRequest(sealed[:len(sealed)-4], now); return err },
		"nothing":        func() error { _, err := p.openRequest("", now); return err },
		"with padding":   func() error { _, err := p.openRequest(sealed+"=", now); return err },
		"with a newline": func() error { _, err := p.openRequest(sealed[:8]+"\n"+sealed[8:], now); return err },
	} {
		if err := open(); err == nil {
			t.Errorf("opened although it was %s", name)
		}
	}
	// Every bit counts.
	raw, _ := base64.RawURLEncoding.DecodeString(sealed)
	for i := range raw {
		raw[i] ^= 1
		if _, err := p.openRequest(base64.RawURLEncoding.EncodeToString(raw), now); err == nil {
			t.Errorf("opened although bit %d was flipped", 8*i)
		}
		raw[i] ^= 1
	}
}

// Control characters grow sixfold as JSON. What does not fit is refused when it is sealed,
// not when the person comes back.
func TestARequestThatGrowsTooLarge(t *testing.T) {
	p := &Provider{seal: aSealer(t, 1)}
	q := newRequest(time.Now())
	q.State, q.Nonce = string(bytes.Repeat([]byte{1}, 4096)), "n"
	if sealed, err := p.sealRequest(&q); err == nil {
		t.Errorf("sealed as %d bytes", len(sealed))
	}
}

func FuzzSealedRequest(f *testing.F) {
	// Each worker of the fuzzer is a program of its own, with a key of its own.
	s, err := newSealer([32]byte(secret.Bytes(32)))
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	p := &Provider{Config: Config{RequestTTL: 30 * time.Minute}, seal: s}
	q := newRequest(now)
	sealed, err := p.sealRequest(&q)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := p.openRequest(text, now); err == nil && text != sealed {
			t.Errorf("%q opened", text)
		}
	})
}
