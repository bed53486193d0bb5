package server

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientAddress(t *testing.T) {
	ours := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, remote string
		forwarded    []string
		want         string
	}{
		{"no proxy", "9.9.9.9:1", nil, "9.9.9.9"},
		{"a stranger says what it likes", "9.9.9.9:1", []string{"1.1.1.1"}, "9.9.9.9"},
		{"our proxy", "10.0.0.1:1", []string{"9.9.9.9"}, "9.9.9.9"},
		{"our proxy says nothing", "10.0.0.1:1", nil, "10.0.0.1"},
		{"the left of the list is made up", "10.0.0.1:1", []string{"1.1.1.1, 9.9.9.9"}, "9.9.9.9"},
		{"two proxies of ours", "10.0.0.1:1", []string{"1.1.1.1, 9.9.9.9, 10.0.0.2"}, "9.9.9.9"},
		{"in several lines", "10.0.0.1:1", []string{"1.1.1.1, 9.9.9.9", "10.0.0.2"}, "9.9.9.9"},
		{"everybody is ours", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"nonsense stops the reading", "10.0.0.1:1", []string{"9.9.9.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"nothing at the end", "10.0.0.1:1", []string{"9.9.9.9,"}, "10.0.0.1"},
		{"with a port", "10.0.0.1:1", []string{"9.9.9.9:1234"}, "9.9.9.9"},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 with a port", "[fd00::1]:1", []string{"[2001:db8::1]:99"}, "2001:db8::1"},
		{"IPv4 in IPv6 clothes is no way around the list", "[::ffff:10.0.0.1]:1", []string{"::ffff:9.9.9.9"}, "9.9.9.9"},
		{"no address at all", "@", []string{"1.1.1.1"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: tt.remote, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
		if got := ours.address(r).String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Whatever is in the header: a stranger's connection is that stranger, and through our proxy
// nothing left of the first address that is not ours counts.
func FuzzClientAddress(f *testing.F) {
	ours := proxies{netip.MustParsePrefix("10.0.0.0/8")}
	for _, seed := range []string{"", "1.1.1.1", "1.1.1.1, 10.0.0.2", ",,,", "[::1]:80", "a, b", "10.0.0.2,10.0.0.3", "::ffff:10.0.0.2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said string) {
		header := http.Header{"X-Forwarded-For": {said}}
		if got := ours.address(&http.Request{RemoteAddr: "9.9.9.9:1", Header: header}); got.String() != "9.9.9.9" {
			t.Errorf("a stranger became %s", got)
		}
		proxied := &http.Request{RemoteAddr: "10.0.0.1:1", Header: header}
		got := ours.address(proxied)
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Errorf("got %s", got)
		}
		if ours.trust(got) {
			return
		}
		header.Set("X-Forwarded-For", "8.8.8.8, "+said)
		if again := ours.address(proxied); again != got {
			t.Errorf("what stands left of %s made it %s", got, again)
		}
		if !strings.Contains(said, ".") && !strings.Contains(said, ":") {
			t.Errorf("%q became %s", said, got)
		}
	})
}
