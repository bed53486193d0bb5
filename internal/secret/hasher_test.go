package secret

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"
)

func TestHash(t *testing.T) {
	h := NewHasher(1)
	first, err := h.Hash(t.Context(), "a calm otter")
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.Hash(t.Context(), "a calm otter")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") || !ValidHash(first) {
		t.Errorf("the hash is %s", first)
	}
	if first == second {
		t.Error("two hashes of one password are the same: the salt is not new")
	}
	for password, want := range map[string]bool{
		"a calm otter": true, "a calm otter ": false, "A calm otter": false, "": false,
	} {
		ok, rehash, err := h.Verify(t.Context(), first, password)
		if ok != want || rehash || err != nil {
			t.Errorf("%q: %v, rehash %v, %v", password, ok, rehash, err)
		}
	}
	if n := h.Computed(); n != 6 {
		t.Errorf("%d hashes were computed, not 6", n)
	}
}

// The hashes of other people's programs.
const (
	// From the tests of the reference implementation of argon2.
	foreignArgon = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	// From the tests of crypt_blowfish.
	foreignBcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
)

func TestImportedHashes(t *testing.T) {
	h := NewHasher(1)
	for _, tt := range []struct {
		name, phc, password string
		ok                  bool
	}{
		{"argon2id of other parameters", foreignArgon, "password", true},
		{"argon2id, wrong password", foreignArgon, "passwore", false},
		{"bcrypt 2a", foreignBcrypt, "U*U", true},
		{"bcrypt 2b", strings.Replace(foreignBcrypt, "2a", "2b", 1), "U*U", true},
		{"bcrypt 2y", strings.Replace(foreignBcrypt, "2a", "2y", 1), "U*U", true},
		{"bcrypt, wrong password", foreignBcrypt, "U*V", false},
		{"bcrypt, the password, NUL and the password again", foreignBcrypt, "U*U\x00U*U", false},
	} {
		ok, rehash, err := h.Verify(t.Context(), tt.phc, tt.password)
		if ok != tt.ok || rehash != tt.ok || err != nil {
			t.Errorf("%s: %v, rehash %v, %v", tt.name, ok, rehash, err)
		}
		if !ValidHash(tt.phc) {
			t.Errorf("%s: not a valid hash", tt.name)
		}
	}
}

// bcrypt reads 72 bytes. A password that agrees in those is still another password.
func TestBcryptDoesNotTakeAPrefixForThePassword(t *testing.T) {
	whole := strings.Repeat("123456789", 8)
	phc, err := bcrypt.GenerateFromPassword([]byte(whole), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	h := NewHasher(1)
	for password, want := range map[string]bool{
		whole: true, whole + "0": false, whole[:71]: false, whole + strings.Repeat("x", 2000): false,
	} {
		if ok, _, err := h.Verify(t.Context(), string(phc), password); ok != want || err != nil {
			t.Errorf("%d bytes: %v, %v", len(password), ok, err)
		}
	}
}

// A row must not be able to order gigabytes or minutes.
func TestHashesThatAreRefused(t *testing.T) {
	const salt, hash = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	argon := func(head, salt, hash string) string { return head + "$" + salt + "$" + hash }
	h := NewHasher(1)
	for _, tt := range []struct{ name, phc string }{
		{"nothing", ""},
		{"a password", "correct horse"},
		{"argon2i", argon("$argon2i$v=19$m=65536,t=2,p=1", salt, hash)},
		{"an old version", argon("$argon2id$v=16$m=65536,t=2,p=1", salt, hash)},
		{"no version", argon("$argon2id$m=65536,t=2,p=1", salt, hash)},
		{"257 MiB", argon("$argon2id$v=19$m=263168,t=2,p=1", salt, hash)},
		{"11 passes", argon("$argon2id$v=19$m=65536,t=11,p=1", salt, hash)},
		{"9 lanes", argon("$argon2id$v=19$m=65536,t=2,p=9", salt, hash)},
		{"no passes", argon("$argon2id$v=19$m=65536,t=0,p=1", salt, hash)},
		{"RFC 9106 3.1, less memory than lanes need", argon("$argon2id$v=19$m=15,t=2,p=2", salt, hash)},
		{"a number with a sign", argon("$argon2id$v=19$m=+65536,t=2,p=1", salt, hash)},
		{"a number with a zero before it", argon("$argon2id$v=19$m=065536,t=2,p=1", salt, hash)},
		{"a number that wraps", argon("$argon2id$v=19$m=4295032832,t=2,p=1", salt, hash)},
		{"parameters in another order", argon("$argon2id$v=19$t=2,m=65536,p=1", salt, hash)},
		{"one parameter more", argon("$argon2id$v=19$m=65536,t=2,p=1,x=1", salt, hash)},
		{"a salt of 7 bytes", argon("$argon2id$v=19$m=65536,t=2,p=1", "c29tc2FsdA", hash)},
		{"an empty salt", argon("$argon2id$v=19$m=65536,t=2,p=1", "", hash)},
		{"an empty hash", argon("$argon2id$v=19$m=65536,t=2,p=1", salt, "")},
		{"a hash of 15 bytes", argon("$argon2id$v=19$m=65536,t=2,p=1", salt, hash[:20])},
		{"padding", argon("$argon2id$v=19$m=65536,t=2,p=1", salt, hash+"=")},
		{"a line break", argon("$argon2id$v=19$m=65536,t=2,p=1", salt, hash[:4]+"\n"+hash[4:])},
		{"something after it", argon("$argon2id$v=19$m=65536,t=2,p=1", salt, hash) + "$x"},
		{"bcrypt 2x", strings.Replace(foreignBcrypt, "2a", "2x", 1)},
		{"bcrypt of cost 15", strings.Replace(foreignBcrypt, "$05$", "$15$", 1)},
		{"bcrypt of cost 3", strings.Replace(foreignBcrypt, "$05$", "$03$", 1)},
		{"bcrypt, cut", foreignBcrypt[:59]},
		{"bcrypt of another alphabet", strings.Replace(foreignBcrypt, "K", "+", 1)},
		{"DES", "rEK1ecacw.7.c"},
	} {
		if ValidHash(tt.phc) {
			t.Errorf("%s is taken for valid: %s", tt.name, tt.phc)
		}
		ok, _, err := h.Verify(t.Context(), tt.phc, "password")
		if ok || !errors.Is(err, ErrHash) {
			t.Errorf("%s: %v, %v", tt.name, ok, err)
		}
	}
	if n := h.Computed(); n != 0 {
		t.Errorf("%d hashes were computed for what is none", n)
	}
}

func TestALongPasswordMatchesNothing(t *testing.T) {
	h := NewHasher(1)
	long := strings.Repeat("x", maxPassword)
	phc, err := h.Hash(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, _ := h.Verify(t.Context(), phc, long+"y"); ok {
		t.Error("a password was cut to the one that matches")
	}
	if ok, _, _ := h.Verify(t.Context(), phc, long); !ok {
		t.Error("the longest password does not match itself")
	}
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(2)
		first, err := h.Turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}

		// Both slots are taken: 64 wait, and the next is told to come back.
		impatient, leave := context.WithCancel(t.Context())
		results := make(chan error, queueLen)
		for range queueLen {
			go func() {
				turn, err := h.Turn(impatient)
				if err == nil {
					turn.Over()
				}
				results <- err
			}()
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Fatal("somebody got a third slot, or did not wait")
		}
		if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("the queue is full, and the next gets %v", err)
		}

		// Somebody who leaves the queue makes room in it.
		leave()
		synctest.Wait()
		for range queueLen {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("left the queue with %v", err)
			}
		}

		// One slot is given back, twice by mistake: one gets it, and no second.
		for range 2 {
			go func() {
				_, err := h.Turn(t.Context())
				results <- err
			}()
		}
		synctest.Wait()
		first.Over()
		first.Over()
		synctest.Wait()
		if len(results) != 1 {
			t.Fatalf("%d got the one slot", len(results))
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
		<-h.slots // the one that still waits ends, as the bubble must
		synctest.Wait()
	})
}

// Nobody who left waits for a slot that is free.
func TestAnEndedContextGetsNoTurn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := NewHasher(1)
	if err := h.Burn(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if h.Computed() != 0 {
		t.Error("hashed for nobody")
	}
}

// What is accepted has one spelling and stays below the bounds.
func FuzzPHC(f *testing.F) {
	f.Add(foreignArgon)
	f.Add(foreignBcrypt)
	f.Add("$argon2id$v=19$m=262144,t=10,p=8$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Fuzz(func(t *testing.T, s string) {
		if isBcrypt(s) {
			if cost, err := bcrypt.Cost([]byte(s)); err != nil || cost > maxBcryptCost {
				t.Fatalf("cost %d, %v", cost, err)
			}
			return
		}
		p, salt, hash, err := parsePHC(s)
		if err != nil {
			return
		}
		if p.memory > maxMemory || p.time > maxTime || p.lanes > maxLanes || p.memory < 8*uint32(p.lanes) {
			t.Fatalf("asks for %+v", p)
		}
		if again := p.format(salt, hash); again != s {
			t.Fatalf("%q is another spelling of %q", s, again)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := NewHasher(1)
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "a calm otter"); err != nil {
			b.Fatal(err)
		}
	}
}
