package upstream

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	// Case-sensitive and without duplicate members, unlike the standard library.
	"github.com/go-jose/go-jose/v4/json"
)

// The limits of the keys that an operator gives.
const (
	maxKeys     = 20
	maxKeysText = 64 << 10
	// maxNameless is how many keys without a kid there may be for one algorithm: every token would be tried with
	// all of them, and strangers can send tokens.
	maxNameless = 4
)

// ReadKeys reads public keys as operators have them: PEM, with one block or several, of public keys or of
// certificates (of which nothing but the key counts), or a JWK Set, RFC 7517 §5. It returns a JWK Set with
// nothing in it but what verifies signatures. The error is an [*Invalid]; a private key is one.
func ReadKeys(text []byte) ([]byte, error) {
	keys, problem := readKeys(text)
	if problem == "" {
		problem = checkSet(keys)
	}
	if problem != "" {
		return nil, &Invalid{"keys", problem}
	}
	// With a name first: a token that names one is tried with it before the nameless.
	slices.SortStableFunc(keys, func(a, b jose.JSONWebKey) int { return min(len(b.KeyID), 1) - min(len(a.KeyID), 1) })
	return json.Marshal(jose.JSONWebKeySet{Keys: keys})
}

func readKeys(text []byte) (keys []jose.JSONWebKey, problem string) {
	var said string
	switch trimmed := strings.TrimSpace(string(text)); {
	case len(text) > maxKeysText:
		return nil, fmt.Sprintf("are more than %d KiB", maxKeysText>>10)
	case strings.HasPrefix(trimmed, "{"):
		return readSet(text)
	case strings.HasPrefix(trimmed, `"`) && json.Unmarshal(text, &said) == nil: // a file as JSON
		return readKeys([]byte(said))
	}
	return readPEM(text)
}

const isPrivate = "have a private or secret key among them: give the public one (openssl pkey -in key.pem -pubout), and treat the other as read by strangers"

func readPEM(text []byte) (keys []jose.JSONWebKey, problem string) {
	if strings.Contains(string(text), "PRIVATE KEY") {
		return nil, isPrivate
	}
	begun := strings.Count(string(text), "-----BEGIN ")
	if begun > maxKeys {
		return nil, fmt.Sprintf("are more than %d", maxKeys)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			key, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				key = c.PublicKey
			}
		default:
			return nil, fmt.Sprintf("have a PEM block of the type %.40q", block.Type)
		}
		if err != nil {
			return nil, "have a PEM block that can't be read"
		}
		keys = append(keys, jose.JSONWebKey{Key: key, Use: "sig"})
	}
	if len(keys) < begun { // what can't be decoded is skipped, and would be missing without a word
		return nil, "have a PEM block that can't be read"
	}
	return keys, ""
}

// readSet reads a JWK Set. Keys for encryption are left out: they are published in the same set.
func readSet(text []byte) (keys []jose.JSONWebKey, problem string) {
	var set struct {
		Keys   []json.RawMessage `json:"keys"`
		Single string            `json:"kty"`
	}
	switch err := json.Unmarshal(text, &set); {
	case err != nil:
		return nil, "are no JWK Set that can be read"
	case set.Single != "":
		return nil, `are one JWK: put it into a set, {"keys": […]}`
	case len(set.Keys) > maxKeys:
		return nil, fmt.Sprintf("are more than %d", maxKeys)
	}
	for i, raw := range set.Keys {
		var parts struct {
			Type   string          `json:"kty"`
			D      json.RawMessage `json:"d"`
			Secret json.RawMessage `json:"k"`
		}
		var key jose.JSONWebKey
		switch err := json.Unmarshal(raw, &parts); {
		case err == nil && (parts.Type == "oct" || parts.D != nil || parts.Secret != nil):
			return nil, isPrivate
		case err != nil || key.UnmarshalJSON(raw) != nil || !key.Valid():
			return nil, fmt.Sprintf("can't be read, from number %d on", i+1)
		case !key.IsPublic():
			return nil, isPrivate
		case key.Use == "enc":
			continue
		}
		keys = append(keys, jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: "sig"})
	}
	return keys, ""
}

// checkSet says what is wrong with keys.
func checkSet(keys []jose.JSONWebKey) string {
	switch {
	case len(keys) == 0:
		return "have no public key in them: PEM and JWK Sets are read"
	case len(keys) > maxKeys:
		return fmt.Sprintf("are more than %d", maxKeys)
	}
	nameless := map[string]int{}
	for i, key := range keys {
		fitting := fitting(key)
		switch {
		case len(fitting) == 0:
			return fmt.Sprintf("number %d is none that verifies signatures: RSA with 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519", i+1)
		case printable(key.KeyID, 0) != "":
			return fmt.Sprintf("number %d has a kid that %s", i+1, printable(key.KeyID, 0))
		case key.KeyID != "":
			continue
		}
		for _, alg := range fitting {
			if nameless[alg]++; nameless[alg] > maxNameless {
				return fmt.Sprintf("are more than %d for %s without a kid: give them as a JWK Set, with the kid that its tokens name", maxNameless, alg)
			}
		}
	}
	return ""
}

// fitting returns the algorithms that a key is for, the usual one first. The key decides: RFC 8725 §3.1.
func fitting(key jose.JSONWebKey) []string {
	var all []string
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); 2048 <= bits && bits <= 8192 && k.E >= 3 { // RFC 7518 §3.3
			all = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
		}
	case *ecdsa.PublicKey:
		for curve, alg := range map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"} {
			if k.Curve == curve {
				all = []string{alg}
			}
		}
	case ed25519.PublicKey:
		all = []string{"EdDSA"}
	}
	if key.Algorithm == "" {
		return all
	}
	return slices.DeleteFunc(all, func(alg string) bool { return alg != key.Algorithm })
}

// checkKeys says what is wrong with the keys of a row, which were read before.
func checkKeys(p *Provider) string {
	if len(p.Keys) == 0 {
		return ""
	}
	if len(p.TokenAudiences) == 0 {
		return "are for tokens that others bring along: token_audiences say for whom those must be"
	}
	keys, problem := readSet(p.Keys)
	if problem == "" {
		problem = checkSet(keys)
	}
	if problem != "" {
		return problem
	}
	for _, alg := range p.Algorithms {
		if !slices.ContainsFunc(keys, func(key jose.JSONWebKey) bool { return slices.Contains(fitting(key), alg) }) {
			return "have none for the algorithm " + alg
		}
	}
	return ""
}

// usualAlgorithms are those of a row's keys, each the usual one: for whom nobody said which.
func usualAlgorithms(p *Provider) []string {
	keys, _ := readSet(p.Keys)
	var all []string
	for _, key := range keys {
		if fit := fitting(key); len(fit) > 0 && !slices.Contains(all, fit[0]) {
			all = append(all, fit[0])
		}
	}
	return all
}
