package bearer_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mintmark/bearer"
)

func TestPublicKeys(t *testing.T) {
	op := newIssuer(t)
	key, other := newSigner(t, "ES256", "one"), newSigner(t, "ES256", "one")
	op.publish(key)
	keys := bearer.NewPublicKeys(op.URL+"/jwks", func(ctx context.Context, address string) ([]byte, http.Header, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", address, nil)
		if err != nil {
			return nil, nil, err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return body, resp.Header, err
	})
	now := time.Now()
	verify := func(token string, algorithms ...string) ([]byte, error) {
		j, err := bearer.ParseJWT(token)
		if err != nil {
			return nil, err
		}
		return keys.Verify(t.Context(), j, algorithms, now)
	}
	token := key.sign(claims{"any": "thing"}, map[string]any{"typ": "logout+jwt"})
	if text, err := verify(token, "ES256"); err != nil || string(text) != `{"any":"thing"}` {
		t.Errorf("%s, %v", text, err)
	}
	j, err := bearer.ParseJWT(token)
	if err != nil || j.Algorithm != "ES256" || j.KeyID != "one" || j.Type != "logout+jwt" {
		t.Errorf("%+v, %v", j, err)
	}
	hmac := newSigner(t, "HS256", "one")
	for name, err := range map[string]error{
		"another's signature":                    last(verify(other.sign(claims{}), "ES256")),
		"an algorithm that was not agreed on":    last(verify(token, "RS256")),
		"no algorithm":                           last(verify(token)),
		"HS256, even if somebody would allow it": last(verify(hmac.sign(claims{}), "HS256")),
		"not a token":                            last(verify("a.b", "ES256")),
		"too long":                               last(verify(key.sign(claims{"x": strings.Repeat("x", 20<<10)}), "ES256")),
	} {
		if !errors.Is(err, bearer.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	away := bearer.NewPublicKeys(op.URL, func(context.Context, string) ([]byte, http.Header, error) { return nil, nil, io.EOF })
	if _, err := away.Verify(t.Context(), j, []string{"ES256"}, now); !errors.Is(err, bearer.ErrUnavailable) || !errors.Is(err, io.EOF) {
		t.Errorf("no keys: %v", err)
	}
}

func last(_ []byte, err error) error { return err }
