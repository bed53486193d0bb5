// Go-service is a small API behind the guard. It believes JWTs of one issuer, which it
// verifies by itself, and API keys, which it asks the issuer about.
//
//	ISSUER=http://127.0.0.1:8080 AUDIENCE=https://orders.example go run ./examples/go-service
//
// To take API keys too, KEY_FILE names a file with an API key of this service that has the
// scope keys:verify.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"mintmark/bearer"
)

func main() {
	handler, err := newHandler(os.Getenv("ISSUER"), os.Getenv("AUDIENCE"), os.Getenv("KEY_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	address := os.Getenv("LISTEN")
	if address == "" {
		address = "127.0.0.1:8090"
	}
	server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Print("listening on ", address)
	log.Fatal(server.ListenAndServe())
}

// newHandler puts the guard before the handlers, and says for each route what it asks for.
func newHandler(issuer, audience, keyFile string) (http.Handler, error) {
	tokens, err := bearer.NewTokens(bearer.Issuer{URL: issuer, Audiences: []string{audience}})
	if err != nil {
		return nil, err
	}
	config := bearer.Config{Tokens: tokens}
	if keyFile != "" {
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, err
		}
		config.Keys, err = bearer.NewRemoteKeys(bearer.RemoteConfig{Issuer: issuer, Key: strings.TrimSpace(string(key))})
		if err != nil {
			return nil, err
		}
	}
	guard, err := bearer.New(config)
	if err != nil {
		return nil, err
	}
	routes := http.NewServeMux()
	routes.Handle("GET /orders", guard.Require("orders:read")(http.HandlerFunc(who)))
	routes.Handle("POST /orders", guard.Require("orders:write")(http.HandlerFunc(who)))
	routes.Handle("GET /{$}", guard.Optional()(http.HandlerFunc(who)))
	return routes, nil
}

// who says who is calling.
func who(w http.ResponseWriter, r *http.Request) {
	p, known := bearer.FromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"known": known, "subject": p.Subject, "method": p.Method, "scopes": p.Scopes})
}
