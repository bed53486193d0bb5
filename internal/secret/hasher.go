package secret

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// ErrBusy means that too many passwords are being hashed. Trying again later helps.
var ErrBusy = errors.New("secret: too many passwords are being hashed")

// ErrHash means that a stored hash is not one that [ValidHash] accepts.
var ErrHash = errors.New("secret: not a password hash that we verify")

// queueLen is how many callers may wait for a slot of a Hasher.
const queueLen = 64

// maxPassword is the longest password that can match, in bytes. A longer one costs
// as much as another wrong one, and no more.
const maxPassword = 1024

// A Hasher hashes passwords that people chose, slowly and a few at a time.
//
// A hash needs 19 MiB and some 40 ms of a core: whoever may start as many as he likes
// takes the server down. So there are slots, a queue of 64 for them, and [ErrBusy]
// for the rest. A Hasher is safe for concurrent use.
type Hasher struct {
	slots    chan struct{}
	waiting  atomic.Int64
	computed atomic.Int64
}

// NewHasher returns a hasher that computes at most slots hashes at once; one if slots
// is less than one.
func NewHasher(slots int) *Hasher {
	return &Hasher{slots: make(chan struct{}, max(slots, 1))}
}

// Hash returns the PHC string of a password: argon2id with 19 MiB, 2 passes, 1 lane (the
// OWASP Password Storage Cheat Sheet's first choice), a new salt of 16 bytes, 32 bytes of hash.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	turn, err := h.Turn(ctx)
	if err != nil {
		return "", err
	}
	defer turn.Over()
	return turn.Hash(password), nil
}

// Verify says whether phc is a hash of password, and whether it should be replaced by a
// new one: see [Turn.Verify].
func (h *Hasher) Verify(ctx context.Context, phc, password string) (ok, rehash bool, err error) {
	turn, err := h.Turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer turn.Over()
	return turn.Verify(phc, password)
}

// Burn spends what a verification costs. An account that does not exist has to cost
// as much as one that does.
func (h *Hasher) Burn(ctx context.Context, password string) error {
	turn, err := h.Turn(ctx)
	if err != nil {
		return err
	}
	defer turn.Over()
	turn.Burn(password)
	return nil
}

// Computed returns how many hashes were computed so far, burned ones included.
func (h *Hasher) Computed() int64 { return h.computed.Load() }

// Turn waits for a slot. It returns [ErrBusy] if too many wait already, and the
// context's error if that ends first.
//
// Most callers want [Hasher.Hash] or [Hasher.Verify]. A turn is for those who must do
// something between getting a slot and using it, such as counting the attempt.
func (h *Hasher) Turn(ctx context.Context) (*Turn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case h.slots <- struct{}{}:
		return &Turn{h: h}, nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > queueLen {
		return nil, ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		return &Turn{h: h}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A Turn is a slot of a [Hasher], held until it is Over. It is used by one goroutine.
type Turn struct {
	h    *Hasher
	over bool
}

// Over gives the slot back. Saying it twice is harmless.
func (t *Turn) Over() {
	if !t.over {
		t.over = true
		<-t.h.slots
	}
}

// Hash is [Hasher.Hash] with the slot that is held.
func (t *Turn) Hash(password string) string {
	salt := Bytes(saltLen)
	return current.format(salt, t.derive(current, password, salt, hashLen))
}

// Burn is [Hasher.Burn] with the slot that is held.
func (t *Turn) Burn(password string) {
	var salt [saltLen]byte
	t.derive(current, password, salt[:], hashLen)
}

// Verify says whether phc is a hash of password. It takes argon2id of bounded parameters
// and bcrypt, and returns [ErrHash] for anything else.
//
// A rehash is asked for after a match whose hash is not exactly what Hash makes: also if
// it is a stronger one, because an account must cost what an unknown account costs. Until
// then an imported hash of another cost can be told from the rest by its time.
func (t *Turn) Verify(phc, password string) (ok, rehash bool, err error) {
	if isBcrypt(phc) {
		return t.verifyBcrypt(phc, password)
	}
	params, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, false, err
	}
	got := t.derive(params, password, salt, len(want))
	if subtle.ConstantTimeCompare(got, want) != 1 || len(password) > maxPassword {
		return false, false, nil
	}
	return true, params != current || len(salt) != saltLen || len(want) != hashLen, nil
}

// verifyBcrypt compares with an imported hash.
//
// bcrypt reads 72 bytes of a password and ignores the rest, and it reads the password
// and its closing NUL in a circle, so that "a" and "a\x00a" have the same hash. A password
// that is not read whole is therefore never the right one. Somebody whose password was cut
// by the system that we import from has to set it anew.
func (t *Turn) verifyBcrypt(phc, password string) (ok, rehash bool, err error) {
	whole := len(password) <= 72 && strings.IndexByte(password, 0) < 0
	if !whole {
		password = password[:min(len(password), 72)]
	}
	t.h.computed.Add(1)
	err = bcrypt.CompareHashAndPassword([]byte(phc), []byte(password))
	switch {
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("%w: %w", ErrHash, err)
	}
	return whole, whole, nil
}

func (t *Turn) derive(p argon2id, password string, salt []byte, n int) []byte {
	t.h.computed.Add(1)
	if len(password) > maxPassword {
		password = password[:maxPassword]
	}
	return argon2.IDKey([]byte(password), salt, p.time, p.memory, p.lanes, uint32(n))
}
