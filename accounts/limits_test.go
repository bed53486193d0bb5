package accounts

import "testing"

func TestWhatCountsAsOneAddress(t *testing.T) {
	for _, tt := range []struct{ name, address, want string }{
		{"IPv4", "192.0.2.1", "192.0.2.1"},
		{"IPv4 with a port", "192.0.2.1:4711", "192.0.2.1"},
		{"IPv4 in IPv6", "::ffff:192.0.2.1", "192.0.2.1"},
		{"IPv6 is counted by /64", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"a neighbour in the /64", "[2001:db8:1:2:ffff::1]:443", "2001:db8:1:2::/64"},
		{"the next /64", "2001:db8:1:3::1", "2001:db8:1:3::/64"},
		{"with a zone", "fe80::1%eth0", "fe80::/64"},
		{"loopback is no exception", "127.0.0.1", "127.0.0.1"},
		{"nothing", "", "unknown"},
		{"nonsense", "unix:@", "unknown"},
	} {
		if got := (attempt{address: tt.address}).network(); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}

// What is no address must not be counted with an address.
func TestWhatCountsAsOneAccount(t *testing.T) {
	if (attempt{email: "alice@example.com"}).account() == (attempt{key: "alice@example.com"}).account() {
		t.Error("what could not be read is counted for alice")
	}
}
