package issuer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
)

// A sealer encrypts and authenticates what travels through the browser, with AES-256-GCM.
// purpose is authenticated too, so that what was sealed for one thing opens for no other.
type sealer struct{ aead cipher.AEAD }

func newSealer(key [32]byte) (*sealer, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead}, nil
}

// close returns what opens again with the same purpose, in base64url.
func (s *sealer) close(purpose string, plain []byte) string {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(purpose)))
}

// open returns what was sealed for that purpose, or false.
func (s *sealer) open(purpose, sealed string) ([]byte, bool) {
	if len(sealed) > maxSealed || !isBase64URL(sealed) { // the decoder would skip line ends
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || len(b) < s.aead.NonceSize() {
		return nil, false
	}
	plain, err := s.aead.Open(nil, b[:s.aead.NonceSize()], b[s.aead.NonceSize():], []byte(purpose))
	return plain, err == nil
}

// maxSealed bounds what is decoded and decrypted for a stranger.
const maxSealed = 16 << 10
