// Go-service is a small API behind the guard. It believes JWTs of one issuer, which it
// verifies by itself, and API keys, which it asks the issuer about.
//
//	ISSUER=http://127.0.0.1:8080 AUDIENCE=https://orders.example go run ./examples/go-service
//
// To take API keys too, and to refuse within a second what was revoked, KEY_FILE names a file with
// an API key of this service that has the scopes keys:verify and revocations:read.
package main

import (
	"context"
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
		own := strings.TrimSpace(string(key))
		keys, err := bearer.NewRemoteKeys(bearer.RemoteConfig{Issuer: issuer, Key: own})
		if err != nil {
			return nil, err
		}
		feed, err := bearer.NewFeed(bearer.FeedConfig{Issuer: issuer, Key: own, Forget: keys.Forget})
		if err != nil {
			return nil, err
		}
		config.Keys, config.Revoked = keys, feed.Revoked
		go feed.Run(context.Background())
		soon, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := feed.Wait(soon); err != nil {
			return nil, err // or go on, and answer 503 until it is heard
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
