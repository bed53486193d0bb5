package keys

import (
	"crypto/sha256"

	lru "github.com/hashicorp/golang-lru/v2"
)

// The bounds of what is remembered: 16,384 tokens, some 3 MB.
const (
	verifiedShards   = 16
	verifiedPerShard = 1024
)

// verified remembers which tokens have a good signature, so that a token that is shown again and
// again costs a hash and not a signature check each time. It is safe for concurrent use.
//
// It knows tokens by the SHA-256 of the whole text, header and signature with it, and only good ones: what
// a stranger makes up can't be found here, and drives out nothing. Whether the key is still
// accepted is asked before, of the view, and what a token says, its expiry first of all, afterwards: here
// is nothing that could become untrue.
type verified [verifiedShards]*lru.Cache[[sha256.Size]byte, *key]

func newVerified() *verified {
	v := new(verified)
	for i := range v {
		v[i], _ = lru.New[[sha256.Size]byte, *key](verifiedPerShard) // only a size below one is an error
	}
	return v
}

func (v *verified) shard(sum *[sha256.Size]byte) *lru.Cache[[sha256.Size]byte, *key] {
	return v[sum[0]%verifiedShards]
}

// has says whether the signature of the token with this hash was good by this key.
func (v *verified) has(sum *[sha256.Size]byte, by *key) bool {
	was, ok := v.shard(sum).Get(*sum)
	return ok && was == by
}

// add remembers that it was.
func (v *verified) add(sum *[sha256.Size]byte, by *key) { v.shard(sum).Add(*sum, by) }
