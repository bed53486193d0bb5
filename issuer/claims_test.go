package issuer

import (
	"testing"
	"time"
)

// OpenID Connect Core §5.3.2: what is not set is left out, however the database says so.
func TestWhatIsNotSetIsNotTold(t *testing.T) {
	empty := Person{ID: "usr_1", EmailVerified: true, Claims: map[string]any{"nickname": "", "locale": nil, "address": map[string]any{}}}
	full := Person{ID: "usr_1", Name: "Anna", Email: "a@example.com", UpdatedAt: time.Unix(1_800_000_000, 5e8), Claims: map[string]any{
		"nickname": "ann", "locale": "de", "address": map[string]any{"locality": "Berlin"}, "phone_number_verified": false,
	}}
	for _, name := range Claims() {
		if v, ok := empty.claim(name); ok {
			t.Errorf("%s is %v", name, v)
		}
	}
	for _, name := range []string{"name", "email", "email_verified", "updated_at", "nickname", "locale", "address", "phone_number_verified"} {
		if _, ok := full.claim(name); !ok {
			t.Errorf("%s is left out", name)
		}
	}
	if v, _ := full.claim("updated_at"); v != int64(1_800_000_000) {
		t.Errorf("Core 5.1: updated_at is %v", v)
	}
	if v, _ := full.claim("email_verified"); v != false {
		t.Errorf("Core 5.1: email_verified is %v", v)
	}
}
