package upstream

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// address says what keeps an address from being one that we speak to.
func address(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.Fragment != "" || len(s) > maxURL:
		return "is not a plain URL"
	case u.Scheme == "https", u.Scheme == "http" && onThisMachine(u.Hostname()):
		return ""
	}
	return "does not start with https://"
}

// onThisMachine says whether a host is loopback by its own name.
func onThisMachine(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func isName(s string) bool {
	return s != "" && len(s) <= 40 && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func isHost(s string) bool {
	host := s
	if h, _, err := net.SplitHostPort(s); err == nil {
		host = h
	}
	u, err := url.Parse("https://" + s)
	return err == nil && u.Host == s && u.Hostname() == host && host != ""
}

func unprintable(c rune) bool { return c < ' ' || 0x7f <= c && c < 0xa0 || c == 0xfffd }

func printable(s string, least int) string {
	switch {
	case s == "" && least > 0:
		return "is missing"
	case len(s) > maxText:
		return fmt.Sprintf("is longer than %d bytes", maxText)
	case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }):
		return "has characters beyond printable ASCII"
	}
	return ""
}

// scopeToken is RFC 6749 §3.3.
func scopeToken(s string) string {
	if s == "" || len(s) > maxText || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return "must be scopes, one in each item"
	}
	return ""
}

func domain(s string) string {
	if !strings.Contains(s, ".") || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || len(s) > maxText ||
		strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") {
		return "must be domains in lower case, such as example.com"
	}
	return ""
}

func each(list []string, problem func(string) string) string {
	if len(list) > maxTexts {
		return fmt.Sprintf("are more than %d", maxTexts)
	}
	for _, s := range list {
		if problem := problem(s); problem != "" {
			return problem
		}
	}
	return ""
}

func oneOf(list []string) string { return "must be one of " + strings.Join(list, ", ") }

func oneOfThese(s string, list ...string) string {
	if slices.Contains(list, s) {
		return ""
	}
	return oneOf(slices.DeleteFunc(list, func(s string) bool { return s == "" }))
}
