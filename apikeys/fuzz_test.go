package apikeys

import (
	"testing"
	"time"
)

// A limit that can be read is within its bounds and reads the same from its own spelling.
func FuzzLimit(f *testing.F) {
	for _, s := range []string{"600/m", "daily:100000/d", "burst:20/10s", "", "/", ":/", "1/1ns", "9223372036854775808/s", "-1/s", "1/-1s", "a:1/1e9h", "x:1/s:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLimit(s)
		if err != nil {
			return
		}
		if l.Max < 1 || l.Per < time.Second || l.Name == "" {
			t.Errorf("%q is %+v", s, l)
		}
		if again, err := ParseLimit(l.String()); err != nil || again != l {
			t.Errorf("%q is %+v, and %q is %+v, %v", s, l, l.String(), again, err)
		}
	})
}

// A network that can be read is in one spelling, and holds its own address.
func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "fe80::1%eth0", "0.0.0.0/0", "", "/", "1/1", "192.0.2.1/33"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := network(s)
		if err != nil {
			return
		}
		if !p.IsValid() || p != p.Masked() || !p.Contains(p.Addr()) || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			t.Errorf("%q is %v", s, p)
		}
		if again, err := network(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, and that is %v, %v", s, p, again, err)
		}
	})
}
