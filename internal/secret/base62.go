package secret

import "crypto/rand"

// alphabet is in ASCII order, so that fixed-width numbers sort as their text does,
// and has no character that a URL, a form or a double click treats specially.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// IsBase62 says whether s consists of base62 characters only.
func IsBase62(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return false
		}
	}
	return true
}

// AppendBase62 appends n as exactly width characters, keeping the low digits.
func AppendBase62(dst []byte, n uint64, width int) []byte {
	at := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := at + width - 1; i >= at && n > 0; i-- {
		dst[i] = alphabet[n%62]
		n /= 62
	}
	return dst
}

// ParseBase62 reads what [AppendBase62] wrote. It is false for another character
// and for a number that does not fit into 64 bits.
func ParseBase62(s string) (uint64, bool) {
	var n uint64
	for i := range len(s) {
		c := s[i]
		var v uint64
		switch {
		case '0' <= c && c <= '9':
			v = uint64(c - '0')
		case 'A' <= c && c <= 'Z':
			v = uint64(c-'A') + 10
		case 'a' <= c && c <= 'z':
			v = uint64(c-'a') + 36
		default:
			return 0, false
		}
		if n > (1<<64-1-v)/62 {
			return 0, false
		}
		n = n*62 + v
	}
	return n, true
}

// Random62 returns n uniformly random base62 characters (5.95 bits each).
func Random62(n int) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		rand.Read(buf[:])
		for _, b := range buf {
			// 248 is the largest multiple of 62 in a byte: rejecting the rest keeps
			// every character equally likely.
			if b < 248 && len(out) < n {
				out = append(out, alphabet[b%62])
			}
		}
	}
	return string(out)
}
