package admin

import (
	"reflect"
	"testing"
)

// FuzzQuestion: what the short way of keys/verify reads, the way of all operations reads the same.
func FuzzQuestion(f *testing.F) {
	for _, s := range []string{`{"key":"mm_sk_x"}`, `{"key":"a","scope":"b c","audience":"https://a","address":"::1"}`, ` { "key" : "a" } `, `{"key":"a","key":"b"}`, `{"Key":"a"}`, `{"key":"a",}`, `{"key":"\u0061"}`, `{"key":"é"}`, `{}`, `{"key":1}`, `{"key":"a"}x`, "{\"key\":\"a\tb\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var short, long NewQuestion
		if !short.readPlain(body) {
			return
		}
		if err := unmarshal(body, &long); err != nil || !reflect.DeepEqual(short, long) {
			t.Errorf("%q is %+v and %+v, %v", body, short, long, err)
		}
	})
}
