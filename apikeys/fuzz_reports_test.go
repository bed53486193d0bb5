package apikeys

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A quota that can be read is within its bounds and reads the same from its own spelling.
func FuzzQuota(f *testing.F) {
	for _, s := range []string{"100000/30d", "5/h", "1/1m", "1/90s", "", "/", "1/", "0/d", "-1/d", "9223372036854775808/d", "1/1000d", "1/1.5h", "1/1h30m", "1/1ns", "+1/d", "1/-1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		amount, period, err := ParseQuota(s)
		if err != nil {
			return
		}
		q := Quota{ID: "quo_1", Amount: amount, Period: period}
		if amount < 1 || period < time.Minute || period%time.Second != 0 {
			t.Errorf("%q is %+v", s, q)
		}
		if again, per, err := ParseQuota(q.String()); err != nil || again != amount || per != period {
			t.Errorf("%q is %+v, and %q is %d in %s, %v", s, q, q, again, per, err)
		}
	})
}

// FuzzReport: nobody has signed a report but who knows the secret, and nothing but this report at this time.
func FuzzReport(f *testing.F) {
	now := time.Unix(1e9, 0)
	r := &Reporters{Secret: []byte("0123456789abcdef0123456789abcdef")}
	body := []byte(`[{"token":"x"}]`)
	good := MAC(r.Secret, body, now)
	for _, seed := range []string{good, "", "t=1,v1=", strings.ToUpper(good), good + "00", "t=1000000000", "t=+1000000000,v1=" + good[len(good)-64:], "t=9223372036854775807,v1=00", "v1=0,t=1"} {
		f.Add(seed, "", "")
	}
	f.Add("", "AAAA", "key")
	f.Add(good, "MEUCIQ==", "key")
	f.Fuzz(func(t *testing.T, mac, signature, name string) {
		h := http.Header{HeaderMAC: {mac}, HeaderSignature: {signature}, HeaderKeyID: {name}}
		who, err := r.Who(t.Context(), h, body, now)
		switch digits := strings.TrimPrefix(mac, good[:len(good)-64]); {
		case err == nil && (who != "hmac" || signature != "" || !strings.EqualFold(digits, good[len(good)-64:])):
			t.Errorf("%q, %q is signed by %s", mac, signature, who)
		case err != nil && !errors.Is(err, ErrUnsigned):
			t.Errorf("%q, %q: %v", mac, signature, err)
		}
	})
}

// FuzzReporterKeys: what is read verifies signatures, or is an error.
func FuzzReporterKeys(f *testing.F) {
	for _, s := range []string{"", "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n-----END PUBLIC KEY-----\n", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParseReporterKeys(text)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%q: %d keys, %v", text, len(keys), err)
		}
		for _, key := range keys {
			if _, err := key.Bytes(); err != nil {
				t.Errorf("%q has a key without a curve or a point: %v", text, err)
			}
		}
	})
}
