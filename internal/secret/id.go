package secret

import (
	"math/big"

	"github.com/google/uuid"
)

// NewID returns a new public identifier: prefix, "_" and 22 base62 characters, or
// the 22 characters alone if the prefix is empty.
//
// Identifiers sort by the time of their making, so that rows are appended to an
// index and not scattered over it. They are names, not secrets.
func NewID(prefix string) string {
	u := uuid.Must(uuid.NewV7())
	var n, base, digit big.Int
	n.SetBytes(u[:])
	base.SetInt64(62)
	var out [22]byte
	for i := len(out) - 1; i >= 0; i-- {
		n.DivMod(&n, &base, &digit)
		out[i] = alphabet[digit.Int64()]
	}
	if prefix == "" {
		return string(out[:])
	}
	return prefix + "_" + string(out[:])
}

// NewShortID returns 64 random bits as 11 base62 characters: the public id of an
// API key or a client secret.
func NewShortID() string {
	b := Bytes(8)
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return string(AppendBase62(nil, n, 11))
}
