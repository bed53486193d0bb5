package apikeys

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The headers of reports and notices that are signed.
const (
	// HeaderKeyID and HeaderSignature are those of GitHub's secret scanning: which of its keys, and an
	// ECDSA signature (ASN.1, base64) of the SHA-256 of the body.
	HeaderKeyID     = "Github-Public-Key-Identifier"
	HeaderSignature = "Github-Public-Key-Signature"
	// HeaderMAC is ours: "t=" seconds since 1970 ",v1=" the HMAC-SHA-256 of that number, a dot and the
	// body, in hexadecimal.
	HeaderMAC = "Mintmark-Signature"
)

// ErrUnsigned means that a report is not signed by anybody who may report.
var ErrUnsigned = errors.New("apikeys: the signature is not one of a known reporter")

const (
	macAge       = 5 * time.Minute // how old, or how far ahead, a signature may be
	reporterKeys = time.Hour       // how long the keys at an address are believed
	refetchEvery = time.Minute     // how often they are fetched anew for a key that is not among them
	mostKeys     = 100
)

// Reporters are those who may report leaked keys without an API key. The zero value is nobody. It is
// safe for concurrent use, and must not be copied after its first use.
type Reporters struct {
	Secret []byte             // of those who sign with [HeaderMAC]
	Keys   []*ecdsa.PublicKey // of those who sign as GitHub does, whatever they call them
	// URL is where more keys are, by their names, as GitHub publishes them; Fetch gets it.
	URL   string
	Fetch func(ctx context.Context, address string) ([]byte, error)

	mu      sync.Mutex
	named   map[string]*ecdsa.PublicKey
	fetched time.Time
}

// Signed says whether a request claims to be from a reporter.
func (r *Reporters) Signed(h http.Header) bool {
	return r != nil && (h.Get(HeaderSignature) != "" || h.Get(HeaderMAC) != "")
}

// Who says who signed a body: "github" or "hmac", or [ErrUnsigned]. Any other error says nothing
// about the signature.
func (r *Reporters) Who(ctx context.Context, h http.Header, body []byte, now time.Time) (string, error) {
	if h.Get(HeaderSignature) == "" {
		if len(r.Secret) == 0 || !CheckMAC(r.Secret, h.Get(HeaderMAC), body, now) {
			return "", ErrUnsigned
		}
		return "hmac", nil
	}
	signature, err := base64.StdEncoding.DecodeString(h.Get(HeaderSignature))
	if err != nil || len(signature) > 200 {
		return "", ErrUnsigned
	}
	digest := sha256.Sum256(body)
	for _, key := range r.Keys {
		if ecdsa.VerifyASN1(key, digest[:], signature) {
			return "github", nil
		}
	}
	key, err := r.key(ctx, h.Get(HeaderKeyID), now)
	switch {
	case err != nil:
		return "", err
	case key == nil || !ecdsa.VerifyASN1(key, digest[:], signature):
		return "", ErrUnsigned
	}
	return "github", nil
}

// key returns the key of a name, or nil if there is none. Strangers can't make us fetch the keys more
// than once a minute.
func (r *Reporters) key(ctx context.Context, name string, now time.Time) (*ecdsa.PublicKey, error) {
	if r.URL == "" || r.Fetch == nil {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	age := now.Sub(r.fetched)
	if key := r.named[name]; key != nil && age < reporterKeys {
		return key, nil
	}
	if !r.fetched.IsZero() && age < refetchEvery {
		return r.named[name], nil
	}
	r.fetched = now
	document, err := r.Fetch(ctx, r.URL)
	if err != nil {
		return nil, fmt.Errorf("apikeys: the keys of the reporters: %w", err)
	}
	var published struct {
		Keys []struct {
			Name string `json:"key_identifier"`
			Key  string `json:"key"`
		} `json:"public_keys"`
	}
	if err := json.Unmarshal(document, &published); err != nil || len(published.Keys) > mostKeys {
		return nil, fmt.Errorf("apikeys: the keys of the reporters can't be read: %w", err)
	}
	r.named = map[string]*ecdsa.PublicKey{}
	for _, k := range published.Keys {
		if keys, err := ParseReporterKeys([]byte(k.Key)); err == nil && len(keys) == 1 {
			r.named[k.Name] = keys[0]
		}
	}
	return r.named[name], nil
}

// ParseReporterKeys reads ECDSA public keys, as PEM.
func ParseReporterKeys(text []byte) (keys []*ecdsa.PublicKey, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		k, ok := key.(*ecdsa.PublicKey)
		if !ok {
			return nil, errors.New("apikeys: a key of a reporter is not an ECDSA key")
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("apikeys: there is no public key in PEM form")
	}
	return keys, nil
}

// MAC signs a body, as [HeaderMAC] says.
func MAC(secret, body []byte, now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 10)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac(secret, at, body))
}

// CheckMAC says whether a signature is one of MAC, and not from long ago.
func CheckMAC(secret []byte, signature string, body []byte, now time.Time) bool {
	at, sum, ok := strings.Cut(signature, ",v1=")
	at, found := strings.CutPrefix(at, "t=")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if !ok || !found || err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > macAge {
		return false
	}
	given, err := hex.DecodeString(sum)
	return err == nil && hmac.Equal(given, mac(secret, at, body))
}

func mac(secret []byte, at string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(at + "."))
	h.Write(body)
	return h.Sum(nil)
}
