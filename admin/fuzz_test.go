package admin

import (
	"encoding/json"
	"testing"
)

// Whatever is read is read by encoding/json as well, and means the same to every reader.
func FuzzBody(f *testing.F) {
	for _, s := range []string{`{}`, `{"email":"a@b"}`, `{"email":"a","email":"b"}`, `{"Email":"a"}`, `{"email":"\u0000"}`, `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[`, "\xff", `{"email":1}`, ``, `{"email":"a"} {}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v struct {
			Email string   `json:"email"`
			More  []string `json:"more"`
		}
		if unmarshal(body, &v) != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body, &members); err != nil {
			t.Errorf("%q was read as %+v, and is no object: %v", body, v, err)
		}
	})
}
