package secret

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// argon2id is the cost of a hash: memory in KiB, passes, lanes (RFC 9106 §3.1).
type argon2id struct {
	memory uint32
	time   uint32
	lanes  uint8
}

// current is what new hashes cost.
var current = argon2id{memory: 19 * 1024, time: 2, lanes: 1}

const (
	saltLen = 16
	hashLen = 32
)

// What a stored hash may ask of us. A row of the database, or an import, must not be able
// to order more memory or time than this.
const (
	maxMemory     = 256 * 1024 // KiB
	maxTime       = 10
	maxLanes      = 8
	maxBcryptCost = 14
	maxPHC        = 256 // bytes of the whole string
)

// ValidHash says whether a string is a password hash that [Hasher.Verify] takes:
//
//   - argon2id, version 19, as a PHC string with up to 256 MiB, 10 passes and 8 lanes,
//     a salt of 8 to 64 bytes and a hash of 16 to 64;
//   - bcrypt, $2a$, $2b$ or $2y$, with a cost of 4 to 14.
func ValidHash(phc string) bool {
	if isBcrypt(phc) {
		return true
	}
	_, _, _, err := parsePHC(phc)
	return err == nil
}

const phcHead = "$argon2id$v=19$"

func (p argon2id) format(salt, hash []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("%sm=%d,t=%d,p=%d$%s$%s", phcHead,
		p.memory, p.time, p.lanes, b64.EncodeToString(salt), b64.EncodeToString(hash))
}

// parsePHC reads $argon2id$v=19$m=…,t=…,p=…$salt$hash. There is one way to write a hash,
// so that what we store is what was checked.
func parsePHC(s string) (p argon2id, salt, hash []byte, err error) {
	rest, ok := strings.CutPrefix(s, phcHead)
	if !ok || len(s) > maxPHC {
		return p, nil, nil, ErrHash
	}
	costs, rest, _ := strings.Cut(rest, "$")
	salt64, hash64, _ := strings.Cut(rest, "$")
	m, costs, _ := strings.Cut(costs, ",")
	t, l, _ := strings.Cut(costs, ",")
	memory, ok1 := number(m, "m=", 8, maxMemory)
	time, ok2 := number(t, "t=", 1, maxTime)
	lanes, ok3 := number(l, "p=", 1, maxLanes)
	// RFC 9106 §3.1: the memory is "any integer number of kibibytes from 8*p to 2^(32)-1".
	if !ok1 || !ok2 || !ok3 || memory < 8*lanes {
		return p, nil, nil, ErrHash
	}
	b64 := base64.RawStdEncoding.Strict()
	salt, err1 := b64.DecodeString(salt64)
	hash, err2 := b64.DecodeString(hash64)
	// The decoder skips line breaks; a PHC string has none.
	if err1 != nil || err2 != nil || strings.ContainsAny(s, "\r\n") ||
		len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 {
		return p, nil, nil, ErrHash
	}
	return argon2id{memory: uint32(memory), time: uint32(time), lanes: uint8(lanes)}, salt, hash, nil
}

func number(s, name string, low, high uint64) (uint64, bool) {
	digits, ok := strings.CutPrefix(s, name)
	if !ok || strings.HasPrefix(digits, "0") || strings.HasPrefix(digits, "+") {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return n, err == nil && low <= n && n <= high
}

// isBcrypt recognises $2b$12$ and 53 characters of bcrypt's own base64.
func isBcrypt(s string) bool {
	const head = len("$2b$12$")
	if len(s) != 60 || s[0] != '$' || s[1] != '2' || s[3] != '$' || s[6] != '$' ||
		s[2] != 'a' && s[2] != 'b' && s[2] != 'y' {
		return false
	}
	for i := head; i < len(s); i++ {
		c := s[i]
		if c != '.' && c != '/' && !IsBase62(s[i:i+1]) {
			return false
		}
	}
	tens, units := s[4], s[5]
	if tens < '0' || tens > '9' || units < '0' || units > '9' {
		return false
	}
	cost := int(tens-'0')*10 + int(units-'0')
	return 4 <= cost && cost <= maxBcryptCost
}
