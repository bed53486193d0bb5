package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"strings"
	"sync"
)

// The grammar of every credential of ours that carries an id:
//
//	credential = "mm_" kind "_" id tag secret crc
//	kind       = 2 lower-case letters
//	id         = base62, of a width that the kind fixes (its public name: logs and tables use it)
//	tag        = 4 base62  ; HMAC-SHA-256(tag key, "mm_" kind "_" id) mod 62^4
//	secret     = 22 base62 ; 130.99 random bits
//	crc        = 6 base62  ; CRC-32/IEEE of every byte before it
//
// The tag is a shield against load, not a boundary: a forged credential is dropped
// without touching the database. Only the digest decides.
const (
	brand     = "mm_"
	tagLen    = 4
	secretLen = 22
	crcLen    = 6
	tailLen   = tagLen + secretLen + crcLen
)

// Kinds of credentials. A kind fixes the width of the id in [idLen].
const (
	KindOrganizationKey = "ok" // API key for the management API
	KindServiceKey      = "sk" // API key of a service account
	KindUserKey         = "uk" // API key of a person
	KindTestKey         = "tk" // API key for tests
	KindClientSecret    = "cs" // OAuth client secret
	KindCode            = "ac" // authorization code
	KindRefresh         = "rt" // refresh token: the id is an authorization and a generation
	KindAccess          = "at" // opaque access token
	KindSession         = "st" // session cookie
	KindBrowser         = "bt" // cookie that binds a pending request to its browser
	KindSetup           = "su" // one-time set-up code
)

// GenerationLen is the width of a refresh token's generation, after the authorization's id.
const GenerationLen = 6

var idLen = map[string]int{
	KindOrganizationKey: 11,
	KindServiceKey:      11,
	KindUserKey:         11,
	KindTestKey:         11,
	KindClientSecret:    11,
	KindCode:            22,
	KindRefresh:         22 + GenerationLen,
	KindAccess:          22,
	KindSession:         22,
	KindBrowser:         11,
	KindSetup:           11,
}

// A Mint makes our credentials and recognises them without I/O. It is safe for
// concurrent use. Every copy of the server must have the same tag key.
type Mint struct {
	key     [32]byte
	tagging sync.Pool // of *tagger: parsing allocates nothing
}

// A tagger computes one tag at a time.
type tagger struct {
	mac hash.Hash
	in  [80]byte // the longest credential has 66
	sum [sha256.Size]byte
}

// NewMint returns a mint with the given tag key.
func NewMint(key [32]byte) *Mint {
	return &Mint{key: key, tagging: sync.Pool{New: func() any { return &tagger{mac: hmac.New(sha256.New, key[:])} }}}
}

// Issue returns a new credential with a random secret. It panics if the id is not
// of the kind's width: that is a fault in the program.
func (m *Mint) Issue(kind, id string) Token {
	return m.Compose(kind, id, Random62(secretLen))
}

// Compose returns the credential with a given secret of 22 base62 characters. Refresh
// tokens use it: their secret is derived, so that the same successor can be given again.
func (m *Mint) Compose(kind, id, secret string) Token {
	if len(id) != idLen[kind] || len(secret) != secretLen {
		panic("secret: an id or secret of the wrong width for kind " + kind)
	}
	b := make([]byte, 0, 80)
	b = append(b, brand...)
	b = append(b, kind...)
	b = append(b, '_')
	b = append(b, id...)
	b = m.appendTag(b)
	b = append(b, secret...)
	b = AppendBase62(b, uint64(crc32.ChecksumIEEE(b)), crcLen)
	return Token{s: string(b)}
}

// Parse recognises a credential of a kind and returns its id. It is false for
// anything that this mint did not make, with a chance of one in 14 million of
// being wrong about a forgery: the caller still compares the digest.
func (m *Mint) Parse(kind, s string) (id string, ok bool) {
	n, known := idLen[kind]
	head := len(brand) + len(kind) + 1
	if !known || len(s) != head+n+tailLen ||
		!strings.HasPrefix(s, brand) || s[len(brand):head-1] != kind || s[head-1] != '_' || !IsBase62(s[head:]) {
		return "", false
	}
	t := m.tagging.Get().(*tagger)
	defer m.tagging.Put(t)
	body := t.in[:copy(t.in[:], s[:len(s)-crcLen])]
	sum, ok := ParseBase62(s[len(s)-crcLen:])
	if !ok || sum != uint64(crc32.ChecksumIEEE(body)) {
		return "", false
	}
	var tag [tagLen]byte
	if !hmac.Equal(t.append(tag[:0], body[:head+n]), body[head+n:head+n+tagLen]) {
		return "", false
	}
	return s[head : head+n], true
}

func (m *Mint) appendTag(b []byte) []byte {
	t := m.tagging.Get().(*tagger)
	defer m.tagging.Put(t)
	return t.append(b, t.in[:copy(t.in[:], b)])
}

// append appends the tag of head to dst. The head must be in t.in: what goes through an
// interface is moved to the heap, and that is there already.
func (t *tagger) append(dst, head []byte) []byte {
	t.mac.Reset()
	t.mac.Write(head)
	return AppendBase62(dst, binary.BigEndian.Uint64(t.mac.Sum(t.sum[:0])), tagLen)
}
