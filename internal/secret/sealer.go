package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Sealed bytes are
//
//	version 1 | the first 4 bytes of SHA-256 of the master key | nonce 12 | AES-256-GCM ciphertext and tag
//
// and everything before the nonce is authenticated together with the associated data.
const (
	sealVersion = 1
	sealHead    = 1 + 4
	nonceLen    = 12
	masterLen   = 32
)

// ErrSealed means that sealed bytes can't be opened: they were cut or changed, belong
// to something else, or were sealed under a master key that we don't have.
var ErrSealed = errors.New("secret: sealed bytes can't be opened")

// A Sealer keeps what must be read back, such as private keys, unreadable at rest. It
// seals with one master key and opens with that and older ones, so that a master key
// can be replaced while the server runs. It is safe for concurrent use.
type Sealer struct {
	_    [0]func()
	keys []sealKey // the first one seals
}

type sealKey struct {
	id   [4]byte
	aead cipher.AEAD
}

// NewSealer returns a sealer with master keys of 32 bytes. The current one seals, all of
// them open.
func NewSealer(current []byte, older ...[]byte) (*Sealer, error) {
	s := &Sealer{}
	for _, key := range append([][]byte{current}, older...) {
		if len(key) != masterLen {
			return nil, fmt.Errorf("secret: a master key has %d bytes and not %d", len(key), masterLen)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(key)
		s.keys = append(s.keys, sealKey{id: [4]byte(sum[:4]), aead: aead})
	}
	return s, nil
}

// Seal returns plain, encrypted and bound to aad. The associated data names the one place
// where the bytes belong ("signing:" and the kid, say), so that nobody who can write to the
// database can move them to another.
func (s *Sealer) Seal(plain []byte, aad string) []byte {
	key := s.keys[0]
	out := make([]byte, 0, sealHead+nonceLen+len(plain)+key.aead.Overhead())
	out = append(out, sealVersion)
	out = append(out, key.id[:]...)
	// A random nonce is good for 2^32 messages under one key (NIST SP 800-38D §8.3). We
	// seal a handful a year.
	out = out[:sealHead+nonceLen]
	rand.Read(out[sealHead:])
	return key.aead.Seal(out, out[sealHead:], plain, bind(out[:sealHead], aad))
}

// Open returns what was sealed with the same associated data, or an error that wraps
// [ErrSealed] and says nothing of the content.
func (s *Sealer) Open(sealed []byte, aad string) ([]byte, error) {
	if len(sealed) < sealHead+nonceLen || sealed[0] != sealVersion {
		return nil, fmt.Errorf("%w: not in our format", ErrSealed)
	}
	id := [4]byte(sealed[1:sealHead])
	known := false
	for _, key := range s.keys {
		// Two keys may share an id: it is a hint, and the tag decides.
		if key.id != id {
			continue
		}
		known = true
		plain, err := key.aead.Open(nil, sealed[sealHead:sealHead+nonceLen], sealed[sealHead+nonceLen:], bind(sealed[:sealHead], aad))
		if err == nil {
			return plain, nil
		}
	}
	if !known {
		return nil, fmt.Errorf("%w: they need the master key %x, which was not given", ErrSealed, id)
	}
	return nil, fmt.Errorf("%w: they were changed or moved", ErrSealed)
}

// Current says whether sealed names the master key that seals now. It opens nothing: the
// bytes may still turn out to be somebody else's.
func (s *Sealer) Current(sealed []byte) bool {
	return len(sealed) >= sealHead && sealed[0] == sealVersion && [4]byte(sealed[1:sealHead]) == s.keys[0].id
}

func bind(head []byte, aad string) []byte {
	return append(append(make([]byte, 0, len(head)+len(aad)), head...), aad...)
}

// String hides the keys.
func (*Sealer) String() string { return "[redacted]" }

// GoString hides the keys.
func (*Sealer) GoString() string { return "[redacted]" }

// ParseMasterKey reads a master key: 32 bytes in base64, of either alphabet, padded or
// not, with white space around it.
func ParseMasterKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawStdEncoding.Strict().DecodeString(text)
	// encoding/base64 passes over line breaks: a key on two lines is more likely half of two.
	if err != nil || len(key) != masterLen || strings.ContainsAny(text, "\r\n") {
		// The text is not repeated: it may be a real key with one letter too many.
		return nil, errors.New("secret: a master key is 32 random bytes in base64; make one with: mintmark secrets new")
	}
	return key, nil
}

// NewMasterKey returns a new master key in the form that [ParseMasterKey] reads.
func NewMasterKey() string {
	return base64.StdEncoding.EncodeToString(Bytes(masterLen))
}
