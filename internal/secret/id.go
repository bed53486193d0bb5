package secret

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"

	"github.com/google/uuid"
)

// NewID returns a new public identifier: prefix, "_" and 22 base62 characters, or
// the 22 characters alone if the prefix is empty.
//
// Identifiers sort by the time of their making, so that rows are appended to an
// index and not scattered over it. They are names, not secrets.
func NewID(prefix string) string {
	u := uuid.Must(uuid.NewV7()) // fails only if the operating system has no random numbers
	b := make([]byte, 0, 40)
	if prefix != "" {
		b = append(append(b, prefix...), '_')
	}
	return string(appendID(b, u))
}

// appendID appends 128 bits as 22 base62 characters, in two long divisions by the largest
// power of 62 whose remainders AppendBase62 takes: 2 + 10 + 10 digits.
func appendID(dst []byte, u [16]byte) []byte {
	const pow = 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62 * 62
	hi, lo := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	lo, low := bits.Div64(hi%pow, lo, pow)
	hi /= pow
	head, middle := bits.Div64(hi, lo, pow)
	dst = AppendBase62(dst, head, 2)
	dst = AppendBase62(dst, middle, 10)
	return AppendBase62(dst, low, 10)
}

// NewShortID returns 64 random bits as 11 base62 characters: the public id of an
// API key or a client secret.
func NewShortID() string {
	var random [8]byte
	rand.Read(random[:]) // never fails
	var text [11]byte
	return string(AppendBase62(text[:0], binary.BigEndian.Uint64(random[:]), len(text)))
}
