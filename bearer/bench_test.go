package bearer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/bearer"
)

func TestARememberedTokenAllocatesNothing(t *testing.T) {
	op := newIssuer(t)
	key := newSigner(t, "ES256", "one")
	op.publish(key)
	tokens, now, c := op.believing(), time.Now(), shown(key.sign(op.good()))
	if n := testing.AllocsPerRun(100, func() {
		if _, err := tokens.Verify(context.Background(), c, now); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func BenchmarkTokenRemembered(b *testing.B) {
	op := newIssuer(b)
	key := newSigner(b, "ES256", "one")
	op.publish(key)
	tokens, now, c := op.believing(), time.Now(), shown(key.sign(op.good()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tokens.Verify(context.Background(), c, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokenSeenFirst(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256"} {
		op := newIssuer(b)
		key := newSigner(b, alg, "one")
		op.publish(key)
		now := time.Now()
		token := key.sign(op.good())
		b.Run(alg+"/signature alone", func(b *testing.B) {
			signed, text, _ := cutLast(token)
			signature, err := b64.DecodeString(text)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				digest := sha256.Sum256([]byte(signed))
				ok := false
				switch k := key.public.(type) {
				case *ecdsa.PublicKey:
					ok = ecdsa.Verify(k, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
				case *rsa.PublicKey:
					ok = rsa.VerifyPKCS1v15(k, 5, digest[:], signature) == nil
				}
				if !ok {
					b.Fatal("the signature is wrong")
				}
			}
		})
		b.Run(alg+"/token", func(b *testing.B) {
			tokens := op.believing(func(i *bearer.Issuer) { i.Algorithms = []string{alg} })
			if _, err := tokens.Verify(context.Background(), shown(token), now); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := bearer.VerifyAnew(tokens, token, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	return s[:i], s[i+1:], true
}

// BenchmarkLoopback is a request over the loopback interface, without a guard and with one, in turn,
// so that what else the machine does counts for both: the medians are compared.
func BenchmarkLoopback(b *testing.B) {
	op := newIssuer(b)
	key := newSigner(b, "ES256", "one")
	op.publish(key)
	guard, err := bearer.New(bearer.Config{Tokens: op.believing(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	b.Run("in turn", func(b *testing.B) {
		ask := func(h http.Handler) func() time.Duration {
			s := httptest.NewServer(h)
			b.Cleanup(s.Close)
			r, err := http.NewRequest("GET", s.URL, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+key.sign(op.good()))
			return func() time.Duration {
				begin := time.Now()
				resp, err := s.Client().Do(r)
				if err != nil || resp.StatusCode != 200 {
					b.Fatal(err, resp)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				return time.Since(begin)
			}
		}
		bare, guarded := ask(hello), ask(guard.Require("orders:read")(hello))
		var without, with []time.Duration
		for b.Loop() {
			without, with = append(without, bare()), append(with, guarded())
		}
		slices.Sort(without)
		slices.Sort(with)
		before, after := without[len(without)/2], with[len(with)/2]
		b.ReportMetric(float64(before), "bare-ns/op")
		b.ReportMetric(100*float64(after-before)/float64(before), "%more")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("guard alone", func(b *testing.B) {
		handler := guard.Require("orders:read")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Authorization", "Bearer "+key.sign(op.good()))
		w := httptest.NewRecorder()
		b.ReportAllocs()
		for b.Loop() {
			handler.ServeHTTP(w, r)
		}
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	})
}

func BenchmarkRemoteKeyRemembered(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"active":true,"id":"key_1","sub":"svc_1","scope":"a b","cache_for":60}`)
	}))
	defer s.Close()
	keys, err := bearer.NewRemoteKeys(bearer.RemoteConfig{Issuer: s.URL, Key: "k"})
	if err != nil {
		b.Fatal(err)
	}
	now, c := time.Now(), shown(keyWith("one"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Verify(context.Background(), c, now); err != nil {
			b.Fatal(err)
		}
	}
}
