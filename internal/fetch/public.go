package fetch

import "net/netip"

// public says whether an address is one that anybody on the internet could reach. Everything
// in the IANA special-purpose registries (RFC 6890) is not, and nor is an IPv6 address that
// carries an IPv4 address, public or not: what it leads to depends on a gateway.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("") // ::ffff:127.0.0.1 is 127.0.0.1
	if a.Is6() && !global6.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// global6 is everything that has been given out as global unicast, RFC 4291 §2.4. It leaves out
// ::1, ::, ::a.b.c.d, 64:ff9b::/96, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7, fe80::/10, ff00::/8.
var global6 = netip.MustParsePrefix("2000::/3")

var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),         // this network, RFC 791 §3.2
	netip.MustParsePrefix("10.0.0.0/8"),        // private, RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),     // shared address space, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),       // loopback, RFC 1122 §3.2.1.3
	netip.MustParsePrefix("169.254.0.0/16"),    // link-local, RFC 3927: also the clouds' metadata
	netip.MustParsePrefix("172.16.0.0/12"),     // private, RFC 1918
	netip.MustParsePrefix("192.0.0.0/24"),      // IETF protocol assignments, RFC 6890 §2.1
	netip.MustParsePrefix("192.0.2.0/24"),      // documentation, RFC 5737
	netip.MustParsePrefix("192.31.196.0/24"),   // AS112, RFC 7535
	netip.MustParsePrefix("192.52.193.0/24"),   // AMT, RFC 7450
	netip.MustParsePrefix("192.88.99.0/24"),    // 6to4 relays, RFC 7526
	netip.MustParsePrefix("192.168.0.0/16"),    // private, RFC 1918
	netip.MustParsePrefix("192.175.48.0/24"),   // AS112, RFC 7534
	netip.MustParsePrefix("198.18.0.0/15"),     // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"),   // documentation, RFC 5737
	netip.MustParsePrefix("203.0.113.0/24"),    // documentation, RFC 5737
	netip.MustParsePrefix("224.0.0.0/4"),       // multicast, RFC 5771
	netip.MustParsePrefix("240.0.0.0/4"),       // reserved, RFC 1112 §4, and broadcast
	netip.MustParsePrefix("2001::/23"),         // IETF protocol assignments, RFC 2928: Teredo, ORCHID and others
	netip.MustParsePrefix("2001:db8::/32"),     // documentation, RFC 3849
	netip.MustParsePrefix("2002::/16"),         // 6to4, RFC 3056: carries an IPv4 address
	netip.MustParsePrefix("2620:4f:8000::/48"), // AS112, RFC 7534
	netip.MustParsePrefix("3fff::/20"),         // documentation, RFC 9637
}
