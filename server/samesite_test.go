package server

import "testing"

// gorilla/csrf CVE-2025-24358: a page at http:// of our own name is not ours.
func TestOnlyTheIssuerIsTheSameSite(t *testing.T) {
	const issuer = "https://id.example"
	s, _ := start(t, func(c *Config) { c.Issuer, c.Dev = issuer, false })
	for _, tt := range []struct {
		name, host, origin string
		refused            bool
	}{
		{"our own page", "id.example", issuer, false},
		{"our own page, behind a proxy that changes Host", "inside:8080", issuer, false},
		{"no browser", "id.example", "", false},
		{"our name without TLS", "id.example", "http://id.example", true},
		{"our name at another port", "id.example:8443", "https://id.example:8443", true},
		{"another name that leads here", "evil.example", "https://evil.example", true},
		{"nothing", "id.example", "null", true},
	} {
		headers := []string{"Host", tt.host}
		if tt.origin != "" {
			headers = append(headers, "Origin", tt.origin)
		}
		resp := ask(s, "POST", "/login", "x=y", headers...)
		if refused := resp.StatusCode == 403; refused != tt.refused {
			t.Errorf("%s: %d", tt.name, resp.StatusCode)
		}
	}
}
