package examples_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mintmark/bearer"
	"mintmark/conformance"
)

// tellBehind tells what a service behind a proxy may rely on.
func tellBehind(t *testing.T, p proxy, program string) {
	op := conformance.StartWith(t, "MINTMARK_TRUSTED_PROXIES=127.0.0.1/32")
	robot := op.Do("services", "add", "robot")["id"].(string)
	add := func(name string, flags ...string) (id, key string) {
		made := op.Do(append([]string{"keys", "add", name, "--owner", robot}, flags...)...)
		return made["id"].(string), made["key"].(string)
	}
	id, key := add("reader", "--scope", "docs:read")
	_, other := add("other", "--scope", "docs:write")
	_, limited := add("limited", "--scope", "docs:read", "--rate-limit", "1/h")
	_, near := add("near", "--scope", "docs:read", "--allow-ip", "127.0.0.2/32")
	_, far := add("far", "--scope", "docs:read", "--allow-ip", "203.0.113.0/24")
	leakedID, leaked := add("leaked", "--scope", "docs:read")
	reader := op.AddClient("reader", "service", "--scope", "docs:read")
	writer := op.AddClient("writer", "service", "--scope", "docs:write")
	op.AddPerson("ada@example.com")
	ada := conformance.NewPerson(t, "ada@example.com")
	ada.SignIn(op.Issuer + "/login")
	session := ada.Cookies(op.Issuer)
	service := httptest.NewServer(http.HandlerFunc(serve))
	defer service.Close()
	listens := strings.TrimPrefix(service.URL, "http://")
	site := p.run(t, program, strings.TrimPrefix(op.Issuer, "http://"), listens)

	auth := []string{"Authorization", "ApiKey " + key}
	for _, tt := range []struct {
		name, line string
		header     []string
		want       string // or either
	}{
		{"who may read reads", "GET /", auth, "200"},
		{"a key as Bearer", "GET /index.html", []string{"Authorization", "Bearer " + key}, "200"},
		{"a key in its own field", "GET /", []string{"X-API-Key", key}, "200"},
		{"an access token", "GET /", []string{"Authorization", "Bearer " + token(t, op, reader)}, "200"},
		{"a query of the client's is not ours", "GET /?scope=nothing&audience=x", auth, "200"},
		{"a wish of the client's is not ours", "GET /", append([]string{"X-Auth-Want-Scope", "docs:write", "X-Auth-Want-Audience", "https://other.example"}, auth...), "200"},
		{"nobody", "GET /", nil, "401"},
		{"nobody who says that they are somebody", "GET /", []string{"X-Auth-Subject", "root"}, "401"},
		{"a key changed on the way", "GET /", []string{"Authorization", "ApiKey " + key[:len(key)-1] + "_"}, "401"},
		{"a scope is missing", "GET /", []string{"Authorization", "ApiKey " + other}, "403 insufficient_scope"},
		{"a scope is missing, and the client wants less", "GET /?scope=docs:write", []string{"Authorization", "ApiKey " + other, "X-Auth-Want-Scope", "docs:write"}, "403 insufficient_scope"},
		{"an access token lacks a scope", "GET /", []string{"Authorization", "Bearer " + token(t, op, writer)}, "403 insufficient_scope"},
		{"two credentials", "GET /", append([]string{"X-API-Key", key}, auth...), "400"},
		{"within the limit", "GET /", []string{"Authorization", "ApiKey " + limited}, "200"},
		{"over the limit", "GET /", []string{"Authorization", "ApiKey " + limited}, "429"},
		{"from where the key may be used", "GET /", []string{"Authorization", "ApiKey " + near}, "200"},
		{"from elsewhere, and says that it is not", "GET /", []string{"Authorization", "ApiKey " + far, "X-Forwarded-For", "203.0.113.9"}, "403"},
		{"a key in the address", "GET /?api_key=" + leaked, nil, "400"},
		{"a key that was in an address", "GET /", []string{"Authorization", "ApiKey " + leaked}, "401"},
		// A session has no scopes. That it lacks one says that it was looked at, and that the method was known.
		{"a session", "GET /", []string{"Cookie", session}, "403 insufficient_scope"},
		{"a session, and a form of our own", "POST /app/x", []string{"Cookie", session, "Sec-Fetch-Site", "same-origin"}, "403 insufficient_scope"},
		{"a session, and a form of another site", "POST /app/x", []string{"Cookie", session, "Sec-Fetch-Site", "cross-site"}, "403"},
		{"the same, as a link", "POST /app/x", []string{"Cookie", session, "Sec-Fetch-Site", "cross-site", "X-Original-Method", "GET"}, "401 or 403"},
		{"the same, as another link", "POST /app/x", []string{"Cookie", session, "Sec-Fetch-Site", "cross-site", "X-Forwarded-Method", "GET"}, "401 or 403"},
		{"RFC 6455 10.2, a session and a socket of another site", "GET /app/x", []string{"Cookie", session, "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Origin", "https://evil.example"}, "403"},
	} {
		resp, body := ask(t, site, tt.line, "", tt.header...)
		got, challenge := fmt.Sprint(resp.StatusCode), strings.Join(resp.Header["Www-Authenticate"], ", ")
		if strings.Contains(challenge, `error="insufficient_scope", scope="docs:read"`) {
			got += " insufficient_scope" // RFC 6750 §3.1
		}
		if !slices.Contains(strings.Split(tt.want, " or "), got) {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		if got == "401" && !strings.Contains(challenge, "Bearer ") {
			t.Errorf("%s: RFC 9110 15.5.2: no challenge", tt.name)
		}
		if got == "429" && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", tt.name)
		}
		if strings.Contains(body, "Handbook") != (got == "200") {
			t.Errorf("%s: the site is %q", tt.name, body)
		}
	}
	if k := op.Do("keys", "get", leakedID); k["status"] != "leaked" {
		t.Errorf("the key that was in an address is %v", k["status"])
	}
	if p.hidden != "" {
		if resp, _ := ask(t, site, "GET "+p.hidden, "", auth...); resp.StatusCode != 404 {
			t.Errorf("%s is %d", p.hidden, resp.StatusCode)
		}
	}

	// The service hears who it is from us, whatever the client says, and does not get the key.
	for name, forged := range map[string][]string{
		"nothing":        nil,
		"the fields":     {"X-Auth-Subject", "root", "X-Auth-Token", "forged", "X-Auth-Scopes", "all", "x-auth-client", "root", "Cookie", "a=b"},
		"twice":          {"X-Auth-Subject", "root", "X-Auth-Subject", "root", "X-Auth-Token", "", "X-Auth-Token", "forged"},
		"underscores":    {"X_Auth_Subject", "root", "X-Auth_Subject", "root", "X_Auth-Token", "forged"},
		"the connection": {"Connection", "close, X-Auth-Subject, X-Auth-Scopes"},
	} {
		resp, body := ask(t, site, "POST /app/x?y=z", "the order", append(forged, auth...)...)
		if name == "the connection" && resp.StatusCode == 400 {
			continue
		}
		var got struct {
			Method, Path, Query, Body string
			Header                    http.Header
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %s %s", name, resp.Status, body)
			continue
		}
		h := got.Header
		if !slices.Equal(h["X-Auth-Subject"], []string{robot}) || !slices.Equal(h["X-Auth-Client"], []string{id}) || h.Get("X-Auth-Credential") != id ||
			!slices.Equal(h["X-Auth-Method"], []string{"api-key"}) || !slices.Equal(h["X-Auth-Scopes"], []string{"docs:read"}) || strings.Join(h["X-Auth-Token"], "") != "" ||
			h.Get("Authorization") != "" || h.Get("Cookie") != "" || strings.Contains(body, "root") || strings.Contains(body, "forged") {
			t.Errorf("a client sends %s: the service gets %v", name, h)
		}
		if got.Method != "POST" || got.Path != p.below("/app/x") || got.Query != "y=z" || got.Body != "the order" {
			t.Errorf("a client sends %s: the service gets %s %s?%s %q", name, got.Method, got.Path, got.Query, got.Body)
		}
	}

	// A socket is opened by who may, and stays open.
	for _, tt := range []struct {
		authorization, want string
	}{{"ApiKey " + key, "HTTP/1.1 101"}, {"ApiKey " + other, "HTTP/1.1 403"}, {"", "HTTP/1.1 401"}} {
		if got := socket(t, site, tt.authorization, robot); !strings.HasPrefix(got, tt.want) {
			t.Errorf("a socket: %s, want %s", got, tt.want)
		}
	}

	// With an audience the service gets a JWT, which says the same to whoever trusts no network.
	const docs = "https://docs.example"
	signed := p.run(t, program, strings.TrimPrefix(op.Issuer, "http://"), listens,
		"scope=docs:read", "scope=docs:read&audience="+docs, // of Envoy a field:
		`- {key: x-auth-want-scope, value: "docs:read"}`, `- {key: x-auth-want-scope, value: "docs:read"}`+"\n                  "+`- {key: x-auth-want-audience, value: "`+docs+`"}`)
	tokens, err := bearer.NewTokens(bearer.Issuer{URL: op.Issuer, Audiences: []string{docs}, Types: []string{"auth+jwt"}})
	if err != nil {
		t.Fatal(err)
	}
	forDocs, text := add("docs", "--scope", "docs:read", "--audience", docs)
	_, body := ask(t, signed, "GET /app/x", "", "Authorization", "ApiKey "+text, "X-Auth-Token", "forged")
	var got struct{ Header http.Header }
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Header["X-Auth-Token"]) != 1 {
		t.Fatalf("with an audience the service gets %s", body)
	}
	who, err := tokens.Verify(t.Context(), bearer.Credential{Text: got.Header.Get("X-Auth-Token")}, time.Now())
	if err != nil || who.Subject != robot || who.Key != forDocs || !slices.Equal(who.Scopes, []string{"docs:read"}) {
		t.Errorf("the JWT says %+v %v", who, err)
	}
	if resp, _ := ask(t, signed, "GET /app/x?audience=", "", append([]string{"X-Auth-Want-Audience", ""}, auth...)...); resp.StatusCode != 403 {
		t.Errorf("a key for no audience: %s", resp.Status)
	}

	// Nobody passes if Mintmark can't be asked.
	alone := p.run(t, program, free(t), listens)
	if resp, body := ask(t, alone, "GET /app/x", "", auth...); resp.StatusCode < 400 || strings.Contains(body, "Header") {
		t.Errorf("without Mintmark: %s %s", resp.Status, body)
	}
}

// below is the path that the service gets.
func (p proxy) below(path string) string {
	if p.ownSite {
		return strings.TrimPrefix(path, "/app")
	}
	return path
}

// serve is the service: it tells what it gets, and echoes what comes through a socket.
func serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") == "websocket":
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\nfor "+r.Header.Get("X-Auth-Subject")+"\n")
		io.Copy(conn, buffered)
	case r.URL.Path == "/" || r.URL.Path == "/index.html":
		io.WriteString(w, "Handbook")
	default:
		body, _ := io.ReadAll(r.Body)
		json.NewEncoder(w).Encode(map[string]any{"Method": r.Method, "Path": r.URL.Path, "Query": r.URL.RawQuery, "Body": string(body), "Header": r.Header})
	}
}

// dialer comes from an address that is no proxy's.
var dialer = net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}

var client = &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}, Timeout: 30 * time.Second}

func ask(t *testing.T, site, line, body string, header ...string) (*http.Response, string) {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	r, err := http.NewRequest(method, site+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1]) // as it is written
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// socket opens one, RFC 6455 §4.1, says something, and returns the first line of the answer.
func socket(t *testing.T, site, authorization, subject string) string {
	t.Helper()
	conn, err := dialer.Dial("tcp", strings.TrimPrefix(site, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	lines := []string{"GET /app/socket HTTP/1.1", "Host: " + strings.TrimPrefix(site, "http://"), "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}
	if authorization != "" {
		lines = append(lines, "Authorization: "+authorization)
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := resp.Proto + " " + resp.Status
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return first
	}
	io.WriteString(conn, "hello\n")
	for _, want := range []string{"for " + subject + "\n", "hello\n"} {
		if got, err := in.ReadString('\n'); got != want {
			t.Errorf("through the socket comes %q %v, want %q", got, err, want)
		}
	}
	return first
}
