package wellknown

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mintmark/issuer"
	"mintmark/keys"
)

// discoveryMaxAge is for how long others may cache the metadata. It only changes with a
// new version of the server or another configuration.
const discoveryMaxAge = time.Hour

// A Handler serves the metadata and the JWKS. It is safe for concurrent use.
type Handler struct {
	metadata document
	ring     *keys.Keyring
	jwks     atomic.Pointer[document]
	fresh    []string // Cache-Control of the JWKS
}

// A document is bytes and the headers that go with them. They are values of a header map,
// made once: serving allocates nothing.
type document struct {
	body   []byte
	etag   []string
	length []string
}

var (
	inJSON   = []string{"application/json"}
	uncached = []string{"no-store"}
	hourly   = []string{maxAge(discoveryMaxAge)}
)

// New computes the metadata of a provider.
func New(p *issuer.Provider, ring *keys.Keyring) *Handler {
	return newHandler(p.Issuer, ring)
}

func newHandler(iss string, ring *keys.Keyring) *Handler {
	body := describe(iss).encode()
	sum := sha256.Sum256(body)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return &Handler{
		metadata: *newDocument(body, etag),
		ring:     ring,
		fresh:    []string{maxAge(ring.MaxAge())},
	}
}

func newDocument(body []byte, etag string) *document {
	return &document{body: body, etag: []string{etag}, length: []string{strconv.Itoa(len(body))}}
}

func maxAge(d time.Duration) string { return fmt.Sprintf("public, max-age=%d", int(d.Seconds())) }

// OpenID serves /.well-known/openid-configuration, OpenID Connect Discovery §4.
func (h *Handler) OpenID(w http.ResponseWriter, r *http.Request) error {
	h.metadata.serve(w, r, hourly)
	return nil
}

// OAuth serves /.well-known/oauth-authorization-server, RFC 8414 §3. It is the same
// document: what OAuth doesn't know it ignores, §3.2.
func (h *Handler) OAuth(w http.ResponseWriter, r *http.Request) error {
	h.metadata.serve(w, r, hourly)
	return nil
}

// JWKS serves the keys, RFC 7517 §5. A key is published for max-age before it signs, so a
// copy of the server that may have missed a new one must not have its answer cached.
func (h *Handler) JWKS(w http.ResponseWriter, r *http.Request) error {
	body, etag := h.ring.JWKS()
	d := h.jwks.Load()
	if d == nil || d.etag[0] != etag {
		d = newDocument(body, etag)
		h.jwks.Store(d)
	}
	cache := h.fresh
	if h.ring.Stale() {
		cache = uncached
	}
	d.serve(w, r, cache)
	return nil
}

// serve writes the document, or that the caller has it already. Whoever went away while it
// was written has no use for an error.
func (d *document) serve(w http.ResponseWriter, r *http.Request, cache []string) {
	header := w.Header()
	header["Etag"] = d.etag
	header["Cache-Control"] = cache // RFC 9110 §15.4.5: a 304 carries both as well
	for _, line := range r.Header["If-None-Match"] {
		if matches(line, d.etag[0]) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header["Content-Type"] = inJSON
	header["Content-Length"] = d.length
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(d.body)
	}
}

// matches says whether a line of If-None-Match names the entity tag, by the weak
// comparison of RFC 9110 §13.1.2: a cache that compressed the document calls it weak.
func matches(line, etag string) bool {
	if strings.TrimSpace(line) == "*" {
		return true
	}
	for found := true; found; {
		var tag string
		tag, line, found = strings.Cut(line, ",") // there is no comma in our tags
		if strings.TrimPrefix(strings.TrimSpace(tag), "W/") == etag {
			return true
		}
	}
	return false
}
