package load_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"
)

// least makes this test binary the server that does the least, when it is run once more.
const least = "MINTMARK_LOAD_LEAST"

func TestMain(m *testing.M) {
	if os.Getenv(least) == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	panic(http.Serve(l, leastServer()))
}

// leastServer parses a form, compares a secret, signs and answers. It keeps nothing, logs
// nothing, limits nothing and refuses next to nothing.
func leastServer() http.Handler {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	send := func(w http.ResponseWriter, body []byte) {
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.Write(body)
	}
	document := make([]byte, 700)
	for i := range document {
		document[i] = 'x'
	}
	want := sha256.Sum256([]byte("secret"))
	b64 := base64.RawURLEncoding
	header := b64.EncodeToString([]byte(`{"alg":"ES256","kid":"1","typ":"at+jwt"}`)) + "."
	mux := http.NewServeMux()
	mux.HandleFunc("GET /document", func(w http.ResponseWriter, r *http.Request) { send(w, document) })
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		got := sha256.Sum256([]byte(secret))
		if r.ParseForm() != nil || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		now := time.Now().Unix()
		claims, err := json.Marshal(map[string]any{"iss": "x", "sub": id, "aud": "x", "client_id": id, "exp": now + 300, "iat": now, "jti": rand.Text()})
		if err != nil {
			panic(err)
		}
		signed := header + b64.EncodeToString(claims)
		sum := sha256.Sum256([]byte(signed))
		r1, s1, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		var signature [64]byte
		r1.FillBytes(signature[:32])
		s1.FillBytes(signature[32:])
		send(w, []byte(`{"access_token":"`+signed+"."+b64.EncodeToString(signature[:])+`","token_type":"Bearer","expires_in":300}`))
	})
	return mux
}
