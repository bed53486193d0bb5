package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// appleSecretLife is in seconds. Apple takes up to six months; one exchange needs one minute.
const appleSecretLife = 300

// signApple makes the client secret of Apple: a JWT that is signed with the key of a developer
// team. https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
func signApple(p *Provider, stored string, now int64) (string, error) {
	key, err := readP8(stored)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithHeader("kid", p.option("key_id")))
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": p.option("team_id"), "sub": p.ClientID, "aud": kinds["apple"].issuer,
		"iat": now, "exp": now + appleSecretLife,
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// readP8 reads a private key as Apple gives it out: PKCS #8 in PEM, on P-256.
func readP8(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(strings.TrimSpace(text) + "\n"))
	if block == nil {
		return nil, errors.New("there is no PEM block")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is not in PKCS #8") // and no word of what it is
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("it is not a key on P-256")
	}
	return key, nil
}

// appleName reads the person's name from the form's field user, which comes with the first sign-in
// only. Nobody has signed it: it is what the browser says, as if the person had typed it.
func appleName(text string) string {
	if len(text) > 4<<10 {
		return ""
	}
	d, err := parseDocument([]byte(text))
	if err != nil {
		return ""
	}
	first, last := d.text("name.firstName"), d.text("name.lastName")
	return short(strings.TrimSpace(strings.TrimSpace(first)+" "+strings.TrimSpace(last)), 200)
}
