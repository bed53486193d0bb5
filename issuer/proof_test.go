package issuer

import (
	"encoding/base64"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/internal/secret"
)

// What both readings of a Basic header say comes from the header, and nothing panics.
func FuzzBasic(f *testing.F) {
	for _, s := range []string{"Basic YTpi", "basic YSUyMDpiKw==", "Basic Og==", "Basic", "Bearer x", "Basic YTo=", "Basic JXp6OiV6eg=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		shown, ok := basicProof(header)
		if !ok {
			return
		}
		_, given, _ := strings.Cut(header, " ")
		plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(given))
		if err != nil || string(plain) != shown.rawID+":"+shown.rawSecret || shown.rawID == "" || strings.Contains(shown.rawID, ":") {
			t.Fatalf("%q was read as %q and %q", header, shown.rawID, shown.rawSecret)
		}
		if shown.id != shown.rawID || shown.secret != shown.rawSecret {
			id, err1 := url.QueryUnescape(shown.rawID)
			secret, err2 := url.QueryUnescape(shown.rawSecret)
			if err1 != nil || err2 != nil || id != shown.id || secret != shown.secret {
				t.Fatalf("%q was decoded as %q and %q", header, shown.id, shown.secret)
			}
		}
		if (shown.method == "none") != (shown.rawSecret == "") {
			t.Fatalf("%q is of method %s", header, shown.method)
		}
	})
}

// No text makes the parser of assertions panic, and what it accepts is of an algorithm and a
// type that we know.
func FuzzAssertion(f *testing.F) {
	part := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{`{"alg":"ES256"}`, `{"alg":"none"}`, `{"alg":"HS256"}`, `{"alg":"RS256","typ":"JWT","kid":"a"}`, `{"alg":"RS256","alg":"none"}`} {
		f.Add(part([]byte(header)) + "." + part([]byte(`{"iss":"a","sub":"a","aud":["b"],"exp":1e9,"jti":"x"}`)) + "." + part([]byte("signature")))
	}
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		signed, says, err := parseAssertion(text)
		if err != nil {
			return
		}
		if alg := signed.Signatures[0].Protected.Algorithm; !slices.Contains(assertionAlgs, alg) {
			t.Fatalf("alg %q", alg)
		}
		says.check([]string{"https://op.example"}, time.Unix(1e9, 0))
	})
}

// An exp that passes the check is never so far away that the jti would be kept for long, and
// never so near that it would be forgotten while somebody still accepts the assertion.
func TestHowLongAnAssertionIsRemembered(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, exp := range []float64{math.Inf(-1), -1e300, -1, 0, 1_800_000_000 - 60, 1_800_000_000 - 59.5, 1_800_000_000, 1_800_000_660, 1_800_000_661, 1e18, 1e300, math.Inf(1)} {
		a := assertionClaims{Audience: []string{"x"}, ID: "1", Expires: &exp}
		until, err := a.check([]string{"x"}, now)
		if good := exp > 1_800_000_000-60 && exp <= 1_800_000_660; good != (err == nil) {
			t.Errorf("exp %v: %v", exp, err)
		}
		if err == nil && (until.Unix() < int64(exp)+60 || until.After(now.Add(15*time.Minute))) {
			t.Errorf("exp %v is remembered until %v", exp, until)
		}
	}
}

func TestRefreshTokens(t *testing.T) {
	p := &Provider{Config: Config{Mint: secret.NewMint([32]byte{1}), RefreshKey: [32]byte{2}}}
	a := &Authorization{ID: secret.NewID(""), Seed: secret.Bytes(seedLen)}
	seen := map[string]bool{} // the secrets
	for _, generation := range []int64{1, 2, 3, 61, 62, 1 << 20, 56_800_235_583} {
		text := p.refreshToken(a, generation).Reveal()
		if text != p.refreshToken(a, generation).Reveal() {
			t.Error("it isn't the same again")
		}
		id, n, ok := p.parseRefresh(text)
		if id != a.ID || n != generation || !ok || !p.isRefresh(a, n, text) {
			t.Errorf("generation %d: %s %d %v", generation, id, n, ok)
		}
		if inside := text[len(text)-28 : len(text)-6]; seen[inside] {
			t.Errorf("generation %d has the secret of another", generation)
		} else {
			seen[inside] = true
		}
		if p.isRefresh(a, generation+1, text) {
			t.Errorf("generation %d passes for the next", generation)
		}
	}
	text := p.refreshToken(a, 1).Reveal()
	otherKey := &Provider{Config: Config{Mint: p.Mint, RefreshKey: [32]byte{3}}}
	otherSeed := &Authorization{ID: a.ID, Seed: secret.Bytes(seedLen)}
	if otherKey.isRefresh(a, 1, text) || p.isRefresh(otherSeed, 1, text) {
		t.Error("the key or the seed alone makes it")
	}
	// Without a seed the HMAC would be one of the key and the generation only.
	bare := &Authorization{ID: a.ID}
	if p.isRefresh(bare, 1, p.refreshToken(bare, 1).Reveal()) {
		t.Error("a family that never began has a token")
	}
	if _, _, ok := p.parseRefresh(p.refreshToken(a, 0).Reveal()); ok {
		t.Error("generation 0 is one")
	}
}

func TestTurns(t *testing.T) {
	now := time.Now()
	const grace = 2 * time.Minute
	good := Standing{Authorization: Authorization{Generation: 5, RotatedAt: now.Add(-time.Minute), IdleUntil: now.Add(time.Hour), ExpiresAt: now.Add(2 * time.Hour)}}
	change := func(f func(*Standing)) *Standing { s := good; f(&s); return &s }
	for _, tt := range []struct {
		name       string
		st         *Standing
		generation int64
		want       turn
	}{
		{"the newest", &good, 5, turnNext},
		{"the one before, in the grace", &good, 4, turnAgain},
		{"the one before, at the end of the grace", change(func(s *Standing) { s.RotatedAt = now.Add(-grace) }), 4, turnReused},
		{"the one before, by a clock that is behind", change(func(s *Standing) { s.RotatedAt = now.Add(time.Second) }), 4, turnAgain},
		{"two before", &good, 3, turnReused},
		{"one that isn't yet", &good, 6, turnReused},
		{"idle for too long", change(func(s *Standing) { s.IdleUntil = now }), 5, turnDead},
		{"too old", change(func(s *Standing) { s.ExpiresAt = now }), 5, turnDead},
		{"revoked", change(func(s *Standing) { s.RevokedAt = now }), 5, turnDead},
		{"reused, but revoked already", change(func(s *Standing) { s.RevokedAt = now }), 1, turnDead},
		{"the client is gone", change(func(s *Standing) { s.ClientGone = true }), 5, turnDead},
		{"the person is gone", change(func(s *Standing) { s.PersonGone = true }), 5, turnDead},
		{"the session ended", change(func(s *Standing) { s.SessionEnded = true }), 5, turnDead},
		{"Core 11, the session ended, offline", change(func(s *Standing) { s.SessionEnded, s.Offline = true, true }), 5, turnNext},
	} {
		if got := turnOf(tt.st, tt.generation, now, grace); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestVerifiers(t *testing.T) {
	const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" // RFC 7636 Appendix B
	if !matchesChallenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge) || matchesChallenge(challenge, challenge) {
		t.Error("RFC 7636 B")
	}
	for s, want := range map[string]bool{
		strings.Repeat("a", 42): false, strings.Repeat("a", 43): true, strings.Repeat("~", 128): true, strings.Repeat("a", 129): false,
		strings.Repeat("a", 43) + "+": false, strings.Repeat("a", 43) + "é": false, strings.Repeat("-._~", 11): true,
	} {
		if validVerifier(s) != want {
			t.Errorf("RFC 7636 4.1: %q", s)
		}
	}
}

// Who guesses at the secret of a client waits in a queue of its own, which is short.
func TestGuessingSecretsIsBounded(t *testing.T) {
	slow, err := newSlowSecrets(secret.NewHasher(1))
	if err != nil {
		t.Fatal(err)
	}
	for range slowSecretsBusy {
		slow.turns <- struct{}{}
	}
	const phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc" // of "password"
	if _, err := slow.match(t.Context(), "c", phc, "password"); err != secret.ErrBusy {
		t.Errorf("one too many: %v", err)
	}
	<-slow.turns
	if ok, err := slow.match(t.Context(), "c", phc, "password"); !ok || err != nil {
		t.Errorf("with a turn: %v, %v", ok, err)
	}
	slow.turns <- struct{}{}
	if ok, err := slow.match(t.Context(), "c", phc, "password"); !ok || err != nil {
		t.Errorf("what is known needs no turn: %v, %v", ok, err)
	}
}
