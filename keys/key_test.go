package keys

import (
	"bytes"
	"testing"

	"mintmark/internal/secret"
)

func TestUnsealTrustsNoColumnOfTheDatabase(t *testing.T) {
	sealer, err := secret.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	made := map[Alg][2]Record{}
	for _, alg := range Algs {
		var two [2]Record
		for i := range two {
			if two[i], err = generate(alg, 1, sealer, start, start); err != nil {
				t.Fatal(err)
			}
		}
		made[alg] = two
	}
	for _, alg := range Algs {
		one, other := made[alg][0], made[alg][1]
		otherAlg := made[Algs[0]][0]
		if otherAlg.Alg == alg {
			otherAlg = made[Algs[1]][0]
		}
		// reseal is what somebody with the master key could do by mistake.
		reseal := func(from Record, id string) []byte {
			plain, err := sealer.Open(from.Sealed, signing(from.ID))
			if err != nil {
				t.Fatal(err)
			}
			return sealer.Seal(plain, signing(id))
		}
		for _, tt := range []struct {
			name   string
			change func(r *Record)
			opens  bool
		}{
			{"as it was made", func(r *Record) {}, true},
			{"another public key", func(r *Record) { r.Public = other.Public }, false},
			{"no public key", func(r *Record) { r.Public = nil }, false},
			{"another private key", func(r *Record) { r.Sealed = other.Sealed }, false},
			{"another private key, sealed for this one", func(r *Record) { r.Sealed = reseal(other, r.ID) }, false},
			{"another id", func(r *Record) { r.ID = other.ID }, false},
			{"an id that is no thumbprint", func(r *Record) { r.ID, r.Sealed = "one", reseal(one, "one") }, false},
			{"another algorithm", func(r *Record) { r.Alg = otherAlg.Alg }, false},
			{"an algorithm that we don't have", func(r *Record) { r.Alg = "HS256" }, false},
			{"something that isn't a key", func(r *Record) { r.Sealed = sealer.Seal([]byte("x"), signing(r.ID)) }, false},
		} {
			r := one
			tt.change(&r)
			k, err := unseal(&r, sealer)
			if tt.opens != (err == nil) || tt.opens && k.id != one.ID {
				t.Errorf("%s, %s: %v", alg, tt.name, err)
			}
		}
	}
}
