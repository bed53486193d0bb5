package upstream_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mintmark/internal/secret"
	"mintmark/upstream"
)

const deskSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// A desk is a system whose tokens say nothing by themselves, with the address that says whose they are.
type desk struct {
	*httptest.Server
	t      testing.TB
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc] // instead of ours
	log    *logged
}

// logged is what a world writes to its log.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newDesk is a world with a connector named "desk".
func newDesk(t testing.TB, change ...func(*upstream.Config)) (*desk, *world) {
	d := &desk{t: t, log: &logged{}}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	w := newWorld(t, append(change, func(c *upstream.Config) { c.Log = slog.New(slog.NewTextHandler(d.log, nil)) })...)
	p := upstream.Provider{Name: "desk", Kind: "connector", ConnectorURL: d.URL + "/who", ClientID: "mintmark"}
	p.ID = secret.NewID("prv")
	w.addConnector(p, deskSecret)
	return d, w
}

// addConnector adds a connector.
func (w *world) addConnector(p upstream.Provider, plain string) {
	w.t.Helper()
	p.UpdatedAt = w.now
	if plain != "" {
		p.SealedSecret = w.sealer.Seal([]byte(plain), upstream.SecretAAD(p.ID))
	}
	if err := errors.Join(p.Check(), p.CheckSecret(plain)); err != nil {
		w.t.Fatal(err)
	}
	w.store.AddProvider(w.t.Context(), p)
	w.Forget()
}

// ServeHTTP knows the tokens that begin with "good".
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.asked.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		d.t.Error(err)
	}
	d.signed(r, body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if other := d.answer.Load(); other != nil {
		(*other)(w, r)
		return
	}
	var q map[string]string
	if err := json.Unmarshal(body, &q); err != nil {
		d.t.Errorf("%v: %s", err, body)
	}
	if !strings.HasPrefix(q["token"], "good") {
		reply(w, 200, claims{"active": false})
		return
	}
	if q["type"] != "identify" || q["provider"] != "desk" || q["issuer"] != ours || q["client_id"] != "mintmark" || len(q) != 5 {
		d.t.Errorf("asked %v", q)
	}
	reply(w, 200, ada())
}

// signed checks the signature by the words of the specification.
func (d *desk) signed(r *http.Request, body []byte) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(deskSecret, "whsec_"))
	if err != nil {
		d.t.Error(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
	if r.Method != "POST" || r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) ||
		!strings.HasPrefix(r.Header.Get("webhook-id"), "msg_") || r.Header.Get("webhook-timestamp") == "" {
		d.t.Errorf("%s: it is not signed: %v", r.Method, r.Header)
	}
}

// identify is what a client named chat gets to know.
func (w *world) identify(t testing.TB, provider, token string, now time.Time) (upstream.Provider, upstream.Identity, error) {
	return w.Identify(t.Context(), upstream.Shown{Provider: provider, Client: "chat", Token: token}, now)
}

// says makes it answer something else.
func (d *desk) says(f http.HandlerFunc) { d.answer.Store(&f) }

func ada() claims {
	return claims{"active": true, "sub": "ada-1", "email": "ada@example.com", "email_verified": true, "name": "Ada", "groups": []string{"ops", "dev"},
		"limits": claims{"messages": 100, "plan": "pro", "export": true}, "expires_in": 600}
}

// The vector of the specification, which every library has.
func TestTheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	key, ok := upstream.WebhookKey(deskSecret)
	if !ok {
		t.Fatal("not a secret")
	}
	got := upstream.SignWebhook(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

func TestAConnectorSaysWhoItIs(t *testing.T) {
	d, w := newDesk(t)
	p, who, err := w.identify(t, "desk", "good-1", w.now)
	if err != nil || p.Name != "desk" || d.asked.Load() != 1 {
		t.Fatal(err)
	}
	if who.ProviderID != p.ID || who.Subject != "ada-1" || who.Email != "ada@example.com" || !who.EmailVerified || who.EmailHosted || who.Name != "Ada" ||
		!slices.Equal(who.Groups, []string{"dev", "ops"}) || len(who.Roles) != 0 || !who.ExpiresAt.Equal(w.now.Add(600*time.Second)) {
		t.Errorf("%+v", who)
	}
	if limits, _ := json.Marshal(who.Limits); string(limits) != `{"export":true,"messages":100,"plan":"pro"}` {
		t.Errorf("%s", limits)
	}
	for _, tt := range []struct {
		name string
		rule upstream.RoleRule
		want int
	}{
		{"a group that it has", upstream.RoleRule{Claim: "groups", Value: "ops", Role: "admin"}, 1},
		{"a group that it has not", upstream.RoleRule{Claim: "groups", Value: "root", Role: "admin"}, 0},
	} {
		w.store.mu.Lock()
		w.store.rows[1].Roles, w.store.rows[1].UpdatedAt = []upstream.RoleRule{tt.rule}, w.store.rows[1].UpdatedAt.Add(time.Microsecond)
		w.store.mu.Unlock()
		w.Forget()
		if _, who, err := w.identify(t, "desk", "good-1", w.now); err != nil || len(who.Roles) != tt.want {
			t.Errorf("%s: %v, %v", tt.name, who.Roles, err)
		}
	}
	for _, tt := range []struct{ name, provider, token string }{
		{"a token that nobody has", "desk", "bad"},
		{"no connector of the name", "dusk", "good"},
		{"a provider that is none", "op", "good"},
		{"no token", "desk", ""},
		{"a token that is too long", "desk", "good" + strings.Repeat("a", 8189)},
		{"a token that is no text", "desk", "good\xff"},
		{"a token with a line end", "desk", "good\n"},
		{"a token with what databases don't take", "desk", "good\x00"},
	} {
		before := d.asked.Load()
		_, _, err := w.identify(t, tt.provider, tt.token, w.now)
		if !errors.Is(err, upstream.ErrOutside) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.token != "bad" && d.asked.Load() != before {
			t.Errorf("%s: it was asked", tt.name)
		}
	}
	w.store.mu.Lock()
	w.store.rows[1].DisabledAt = w.now
	w.store.mu.Unlock()
	w.Forget()
	if _, _, err := w.identify(t, "desk", "good-1", w.now); !errors.Is(err, upstream.ErrOutside) {
		t.Errorf("disabled: %v", err)
	}
	if log := d.log.String(); strings.Contains(log, "good") {
		t.Error("the log has the token:", log)
	}
}

// Nobody signs in with it: it is no button, and its name leads nowhere.
func TestAConnectorIsNoWayToSignIn(t *testing.T) {
	d, w := newDesk(t)
	shown, err := w.Enabled(t.Context(), w.now)
	if err != nil || len(shown) != 1 || shown[0].Name != "op" {
		t.Errorf("%v, %v", shown, err)
	}
	if _, err := w.begins("desk", upstream.Purpose{}); code(err) != "unknown_provider" {
		t.Errorf("it begins: %v", err)
	}
	if _, _, err := w.returns("desk", map[string][]string{"code": {"x"}, "state": {"y"}}); code(err) != "unknown_provider" {
		t.Errorf("it finishes: %v", err)
	}
	if d.asked.Load() != 0 {
		t.Error("it was asked")
	}
}

// unsure is what a connector may say instead, and what comes of it: it is as if it had not answered.
var unsure = []struct {
	name string
	say  http.HandlerFunc
}{
	{"nothing", func(w http.ResponseWriter, r *http.Request) {}},
	{"a text", raws("application/json", `hello`)},
	{"a list", raws("application/json", `[{"active":true,"sub":"ada"}]`)},
	{"null", raws("application/json", `null`)},
	{"half", raws("application/json", `{"active":true,"sub":"ada`)},
	{"two objects", raws("application/json", `{"active":true,"sub":"ada"}{}`)},
	{"no JSON by its name", raws("text/html", `{"active":true,"sub":"ada"}`)},
	{"a member twice", raws("application/json", `{"active":false,"active":true,"sub":"ada"}`)},
	{"sub twice", raws("application/json", `{"active":true,"sub":"ada","sub":"eve"}`)},
	{"sub twice, escaped", raws("application/json", `{"active":true,"sub":"ada","su\u0062":"eve"}`)},
	{"too deep", raws("application/json", `{"active":true,"sub":"ada","x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`}`)},
	{"too long", raws("application/json", `{"active":true,"sub":"ada","x":"`+strings.Repeat("x", 64<<10)+`"}`)},
	{"no UTF-8", raws("application/json", "{\"active\":true,\"sub\":\"ada\",\"name\":\"\xff\"}")},
	{"active is a text", said("active", "true")},
	{"active is a number", said("active", 1)},
	{"active is null", said("active", null)},
	{"active is missing", said("active", nil)},
	{"active in another case", raws("application/json", `{"Active":true,"sub":"ada"}`)},
	{"sub is missing", said("sub", nil)},
	{"sub is empty", said("sub", "")},
	{"sub is too long", said("sub", strings.Repeat("a", 256))},
	{"sub has a line end", said("sub", "ada\nadmin")},
	{"sub is a list", said("sub", []string{"ada"})},
	{"sub is a boolean", said("sub", true)},
	{"sub is a fraction", said("sub", 1.5)},
	{"email_verified is a text", said("email_verified", "true")},
	{"email_verified is a number", said("email_verified", 1)},
	{"email is two", said("email", "ada@example.com,eve@example.com")},
	{"email is a list", said("email", []string{"ada@example.com"})},
	{"groups are objects", said("groups", []any{claims{"name": "ops"}})},
	{"groups are too many", said("groups", strings.Split(strings.Repeat("g ", 1001)+"g", " "))},
	{"limits are a list", said("limits", []int{1})},
	{"limits are a text", said("limits", "unlimited")},
	{"limits are too many", said("limits", many(33))},
	{"limits are too long", said("limits", claims{"a": strings.Repeat("a", 255), "b": strings.Repeat("<", 255), "c": strings.Repeat("<", 255)})},
	{"limits are deep", said("limits", claims{"messages": claims{"day": 1}})},
	{"a limit is a list", said("limits", claims{"messages": []int{1}})},
	{"a limit is null", said("limits", claims{"messages": null})},
	{"a limit is beyond all numbers", said("limits", claims{"messages": json.RawMessage("1e400")})},
	{"a limit is a number of a thousand digits", said("limits", claims{"messages": json.RawMessage(strings.Repeat("1", 1000))})},
	{"a limit has no name", said("limits", claims{"": 1})},
	{"a limit has a name of two words", said("limits", claims{"a b": 1})},
	{"a limit has a line end", said("limits", claims{"a": "b\nc"})},
	{"expires_at is a text", said("expires_at", "2040-01-01T00:00:00Z")},
	{"expires_at is null", said("expires_at", null)},
	{"expires_in is a text", said("expires_in", "60")},
	{"expires_in is null", said("expires_in", null)},
	{"expires_in is negative", said("expires_in", -1)},
	{"expires_in is beyond all time", said("expires_in", json.RawMessage("1e18"))},
	{"created", status(201)},
	{"no content", status(204)},
	{"a redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}},
	{"bad request", status(400)},
	{"unauthorized", status(401)},
	{"not found", status(404)},
	{"too many", status(429)},
	{"broken", status(500)},
	{"a gateway without it", status(502)},
	{"away", status(503)},
	{"it closes", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
	{"it closes in the middle", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write([]byte(`{"active":true`))
		panic(http.ErrAbortHandler)
	}},
	{"it is slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
	{"it drips", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			w.Write([]byte(" "))
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}},
	{"it never ends", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			w.Write([]byte(strings.Repeat(" ", 4096)))
		}
	}},
}

func raws(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write([]byte(text))
	}
}

// said is a good answer with one member changed.
func said(name string, value any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := ada()
		a[name] = value
		reply(w, 200, without(a))
	}
}

// status is the good answer with another status.
func status(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if n == 204 {
			w.WriteHeader(n)
			return
		}
		reply(w, n, ada())
	}
}

func many(n int) claims {
	c := claims{}
	for i := range n {
		c[fmt.Sprint("limit", i)] = i
	}
	return c
}

func TestHostileConnector(t *testing.T) {
	d, w := newDesk(t, quick)
	for i, tt := range unsure {
		d.says(tt.say)
		w.healed()
		token := fmt.Sprint("good-and-secret-", i)
		_, who, err := w.identify(t, "desk", token, w.now)
		if !errors.Is(err, upstream.ErrAway) || errors.Is(err, upstream.ErrOutside) || who.Subject != "" {
			t.Errorf("%s: %+v, %v", tt.name, who, err)
		}
		if strings.Contains(fmt.Sprint(err), token) {
			t.Errorf("%s: the error has the token: %v", tt.name, err)
		}
		// What was not answered is asked again.
		d.answer.Store(nil)
		if _, _, err := w.identify(t, "desk", token, w.now); err != nil {
			t.Errorf("%s, and then as it should: %v", tt.name, err)
		}
	}
	for _, tt := range []struct {
		name string
		say  http.HandlerFunc
	}{
		{"it is not good, and names somebody", said("active", false)},
		{"it was over long ago", said("expires_at", 1)},
		{"it is over now", said("expires_in", 0)},
	} {
		d.says(tt.say)
		w.healed()
		if _, who, err := w.identify(t, "desk", "good-"+tt.name, w.now); !errors.Is(err, upstream.ErrOutside) || who.Subject != "" {
			t.Errorf("%s: %+v, %v", tt.name, who, err)
		}
	}
	if log := d.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "whsec") {
		t.Error("the log has a secret:", log)
	}
}

// healed makes the connection a new one, with a breaker that has seen nothing.
func (w *world) healed() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	row := &w.store.rows[1]
	row.ConnectorURL += "?"
	row.UpdatedAt = row.UpdatedAt.Add(time.Microsecond)
	w.Forget()
}

// What may be missing is missing.
func TestAConnectorThatSaysLittle(t *testing.T) {
	d, w := newDesk(t)
	for i, tt := range []struct {
		name, text string
		holds      func(who upstream.Identity) bool
	}{
		{"who it is", `{"active":true,"sub":"1"}`, func(who upstream.Identity) bool {
			return who.Subject == "1" && who.Email == "" && who.Limits == nil && who.ExpiresAt.IsZero()
		}},
		{"a number", `{"active":true,"sub":12345678901234567890}`, func(who upstream.Identity) bool { return who.Subject == "12345678901234567890" }},
		{"an address, and not whether it was verified", `{"active":true,"sub":"1","email":"ada@example.com"}`, func(who upstream.Identity) bool {
			return who.Email == "ada@example.com" && !who.EmailVerified
		}},
		{"no limits", `{"active":true,"sub":"1","limits":{}}`, func(who upstream.Identity) bool { return who.Limits == nil }},
		{"null limits", `{"active":true,"sub":"1","limits":null}`, func(who upstream.Identity) bool { return who.Limits == nil }},
		{"both ends", `{"active":true,"sub":"1","expires_in":60,"expires_at":32503680000}`, func(who upstream.Identity) bool {
			return who.ExpiresAt.Equal(w.now.Add(time.Minute))
		}},
		{"claims of its own, and of ours", `{"active":true,"sub":"1","aid":"x","roles":["admin"],"role":"admin","iss":"evil","scope":"admin","limits":{"sub":"eve","scope":"admin"}}`,
			func(who upstream.Identity) bool {
				return len(who.Roles) == 0 && string(who.Claims) == "{}" && len(who.Limits) == 2
			}},
	} {
		d.says(raws("application/json; charset=utf-8", tt.text))
		_, who, err := w.identify(t, "desk", fmt.Sprint("good-", i), w.now)
		if err != nil || !tt.holds(who) {
			t.Errorf("%s: %+v, %v", tt.name, who, err)
		}
	}
}

// Whoever asks about one token at the same time asks once, and so does who asks within a minute.
func TestAConnectorIsAskedOnce(t *testing.T) {
	d, w := newDesk(t)
	held := make(chan struct{})
	d.says(func(rw http.ResponseWriter, r *http.Request) {
		<-held
		reply(rw, 200, ada())
	})
	var group sync.WaitGroup
	var begun sync.WaitGroup
	begun.Add(50)
	for range 50 {
		group.Go(func() {
			begun.Done()
			if _, who, err := w.identify(t, "desk", "good", w.now); err != nil || who.Subject != "ada-1" {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
	begun.Wait()
	close(held)
	group.Wait()
	if n := d.asked.Load(); n != 1 {
		t.Errorf("50 at once asked %d times", n)
	}
	for row, tt := range []struct {
		name  string
		say   http.HandlerFunc
		first time.Duration // asked again
		last  time.Duration // not yet
	}{
		{"no end", said("expires_in", nil), time.Minute, time.Minute - time.Second},
		{"an end before that", said("expires_in", 10), 10 * time.Second, 9 * time.Second},
		{"an end after that", said("expires_in", 600), time.Minute, time.Minute - time.Second},
		{"nobody", said("active", false), 2 * time.Second, time.Second},
	} {
		d.says(tt.say)
		before := d.asked.Load()
		for i, at := range []time.Duration{0, tt.last, tt.first} {
			w.identify(t, "desk", "good-"+tt.name, w.now.Add(time.Duration(row)*time.Hour+at))
			if want := before + int64(1+i/2); d.asked.Load() != want {
				t.Errorf("%s: after %s it was asked %d times, want %d", tt.name, at, d.asked.Load()-before, want-before)
			}
		}
	}
	// Another token is another question, and so is the same one after a change of the row.
	before := d.asked.Load()
	d.answer.Store(nil)
	later := w.now.Add(24 * time.Hour)
	w.identify(t, "desk", "good-no end ", later)
	w.healed()
	w.identify(t, "desk", "good-no end ", later)
	if d.asked.Load() != before+2 {
		t.Errorf("asked %d times", d.asked.Load()-before)
	}
}

// What is remembered is bounded, whatever tokens there are.
func TestOldAnswersMakeRoom(t *testing.T) {
	_, w := newDesk(t)
	for i := range 600 {
		if _, _, err := w.identify(t, "desk", fmt.Sprint("good-", i), w.now); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := w.Remembered(); n != 500 {
		t.Errorf("%d are remembered", n)
	}
}

// Five times in a row without an answer, also not to us, and it is left alone.
func TestASilentConnectorIsLeftAlone(t *testing.T) {
	d, w := newDesk(t)
	d.says(status(503))
	for i := range 5 {
		if _, _, err := w.identify(t, "desk", fmt.Sprint("good-", i), w.now); !errors.Is(err, upstream.ErrAway) {
			t.Errorf("%d: %v", i, err)
		}
	}
	rows, _ := w.store.Providers(t.Context())
	for range 500 {
		if w.LeftAlone(&rows[1]) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	before := d.asked.Load()
	if _, _, err := w.identify(t, "desk", "good", w.now); !errors.Is(err, upstream.ErrAway) || before != 6 || d.asked.Load() != before {
		t.Errorf("it was asked %d times, and then %d: %v", before, d.asked.Load(), err)
	}
	if _, err := w.signsIn("op"); err != nil {
		t.Errorf("another provider: %v", err)
	}
}

// tickets is a connector of the program that embeds us.
type tickets func(ctx context.Context, token string) (upstream.Identity, error)

func (f tickets) Identify(ctx context.Context, token string) (upstream.Identity, error) {
	return f(ctx, token)
}

func TestAConnectorInGo(t *testing.T) {
	var says tickets
	d, w := newDesk(t, quick, func(c *upstream.Config) {
		c.Connectors = map[string]upstream.Connector{"box": tickets(func(ctx context.Context, token string) (upstream.Identity, error) { return says(ctx, token) })}
	})
	w.addConnector(upstream.Provider{ID: secret.NewID("prv"), Name: "box", Kind: "connector",
		Roles: []upstream.RoleRule{{Claim: "plan", Value: "staff", Role: "admin"}}}, "")
	good := upstream.Identity{Subject: "7", Email: "ada@example.com", EmailVerified: true, Name: "Ada", Groups: []string{"dev"}, ExpiresAt: w.now.Add(time.Minute),
		Claims: json.RawMessage(`{"given_name":"Ada","plan":"staff","email":"eve@example.com"}`), Limits: map[string]any{"messages": 5, "rate": 0.5}}
	says = func(context.Context, string) (upstream.Identity, error) { return good, nil }
	p, who, err := w.identify(t, "box", "a token", w.now)
	if err != nil || who.ProviderID != p.ID || who.Subject != "7" || who.Email != "ada@example.com" || !who.EmailVerified || who.Name != "Ada" ||
		!slices.Equal(who.Roles, []string{"admin"}) || !who.ExpiresAt.Equal(good.ExpiresAt) || who.Limits["messages"] != json.Number("5") ||
		string(who.Claims) != `{"given_name":"Ada","name":"Ada"}` {
		t.Fatalf("%+v, %v", who, err)
	}
	changed := func(change func(i *upstream.Identity)) tickets {
		return func(context.Context, string) (upstream.Identity, error) {
			i := good
			i.Claims = nil
			change(&i)
			return i, nil
		}
	}
	for i, tt := range []struct {
		name string
		says tickets
		want error
	}{
		{"it gives a role", changed(func(i *upstream.Identity) { i.Roles, i.ACR, i.AMR = []string{"admin"}, "x", []string{"x"} }), nil},
		{"it is somebody else's provider", changed(func(i *upstream.Identity) { i.ProviderID = "prv_other" }), nil},
		{"nobody", changed(func(i *upstream.Identity) { i.Subject = "" }), upstream.ErrAway},
		{"an address that is none", changed(func(i *upstream.Identity) { i.Email = "ada" }), upstream.ErrAway},
		{"limits that are none", changed(func(i *upstream.Identity) { i.Limits = map[string]any{"a": []int{1}} }), upstream.ErrAway},
		{"a limit that can't be written", changed(func(i *upstream.Identity) { i.Limits = map[string]any{"a": func() {}} }), upstream.ErrAway},
		{"claims that are none", changed(func(i *upstream.Identity) { i.Claims = json.RawMessage(`[]`) }), upstream.ErrAway},
		{"it is over", changed(func(i *upstream.Identity) { i.ExpiresAt = w.now }), upstream.ErrOutside},
		{"not good", func(context.Context, string) (upstream.Identity, error) { return good, upstream.ErrOutside }, upstream.ErrOutside},
		{"broken", func(context.Context, string) (upstream.Identity, error) { return good, errors.New("no database") }, upstream.ErrAway},
		{"a panic", func(context.Context, string) (upstream.Identity, error) { panic("no database") }, upstream.ErrAway},
		{"slow", func(ctx context.Context, _ string) (upstream.Identity, error) { <-ctx.Done(); return good, ctx.Err() }, upstream.ErrAway},
	} {
		says = tt.says
		_, who, err := w.identify(t, "box", fmt.Sprint("token-", i), w.now)
		if !errors.Is(err, tt.want) || err != nil && who.Subject != "" || len(who.Roles) != 0 || err == nil && (who.ProviderID != p.ID || who.ACR != "" || who.AMR != nil) {
			t.Errorf("%s: %+v, %v", tt.name, who, err)
		}
	}
	if d.asked.Load() != 0 {
		t.Error("another connector was asked")
	}
}

// A connector that does not look at its context keeps nobody waiting for ever.
func TestAConnectorThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		defer close(hold)
		sealer, err := secret.NewSealer(secret.Bytes(32))
		if err != nil {
			t.Fatal(err)
		}
		row := upstream.Provider{ID: secret.NewID("prv"), Name: "box", Kind: "connector"}
		g, err := upstream.New(upstream.Config{Store: &memory{rows: []upstream.Provider{row}}, Sealer: sealer, StateKey: [32]byte(secret.Bytes(32)), Issuer: ours,
			Connectors: map[string]upstream.Connector{"box": tickets(func(context.Context, string) (upstream.Identity, error) { <-hold; return upstream.Identity{}, nil })}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, _, err := g.Identify(t.Context(), upstream.Shown{Provider: "box", Client: "chat", Token: "token"}, start); !errors.Is(err, upstream.ErrAway) || time.Since(start) > 10*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestConnectorRowsAreChecked(t *testing.T) {
	good := upstream.Provider{Name: "desk", Kind: "connector", ConnectorURL: "https://desk.example/who", SealedSecret: []byte{1}}
	for _, tt := range []struct {
		name, field, secret string
		change              func(p *upstream.Provider)
	}{
		{"good", "", deskSecret, func(p *upstream.Provider) {}},
		{"without whsec_", "", strings.TrimPrefix(deskSecret, "whsec_"), func(p *upstream.Provider) {}},
		{"of the program itself", "", "", func(p *upstream.Provider) { p.ConnectorURL, p.SealedSecret = "", nil }},
		{"no TLS", "connector_url", deskSecret, func(p *upstream.Provider) { p.ConnectorURL = "http://desk.example/who" }},
		{"a user", "connector_url", deskSecret, func(p *upstream.Provider) { p.ConnectorURL = "https://a:b@desk.example/who" }},
		{"no secret", "client_secret", deskSecret, func(p *upstream.Provider) { p.SealedSecret = nil }},
		{"an empty secret", "client_secret", "", func(p *upstream.Provider) {}},
		{"a short secret", "client_secret", "whsec_c2hvcnQ=", func(p *upstream.Provider) {}},
		{"a secret that is no base64", "client_secret", "a secret of at least thirty-two characters", func(p *upstream.Provider) {}},
		{"an issuer", "kind", deskSecret, func(p *upstream.Provider) { p.Issuer = "https://desk.example" }},
		{"a place to sign in", "kind", deskSecret, func(p *upstream.Provider) { p.AuthorizeURL = "https://desk.example/authorize" }},
		{"tokens to keep", "kind", deskSecret, func(p *upstream.Provider) { p.KeepTokens = true }},
		{"tokens that say themselves", "token_audiences", deskSecret, func(p *upstream.Provider) { p.TokenAudiences = []string{"x"} }},
		{"another kind", "connector_url", deskSecret, func(p *upstream.Provider) { p.Kind, p.ClientID = "github", "x" }},
	} {
		p := good
		tt.change(&p)
		err := p.Check()
		if err == nil {
			err = p.CheckSecret(tt.secret)
		}
		wrong, _ := errors.AsType[*upstream.Invalid](err)
		if (wrong == nil) != (tt.field == "") || wrong != nil && wrong.Field != tt.field {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Who adds a connector hears at once what is wrong with it.
func TestAConnectorIsLookedAt(t *testing.T) {
	d, w := newDesk(t)
	p, _ := w.store.Providers(t.Context())
	if err := w.Look(t.Context(), p[1], w.now); err != nil {
		t.Error(err)
	}
	d.says(func(rw http.ResponseWriter, r *http.Request) { reply(rw, 200, ada()) })
	for name, change := range map[string]func(p *upstream.Provider){
		"it knows everybody": func(p *upstream.Provider) {},
		"nobody is there":    func(p *upstream.Provider) { p.ConnectorURL = "http://127.0.0.1:1" },
		"no address":         func(p *upstream.Provider) { p.ConnectorURL = "" },
	} {
		tried := p[1]
		change(&tried)
		if wrong, ok := errors.AsType[*upstream.Invalid](w.Look(t.Context(), tried, w.now)); !ok || wrong.Field != "connector_url" {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}
