package server

import (
	"net/http"
	"strings"
)

// Values of headers that many answers carry, made once.
var (
	nosniff     = []string{"nosniff"}
	noReferrer  = []string{"no-referrer"}
	deny        = []string{"DENY"}
	sameOrigin  = []string{"same-origin"}
	noStore     = []string{"no-store"}
	everyone    = []string{"*"}
	oneYear     = []string{"max-age=31536000"}
	nothingElse = []string{"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}
	noFeatures  = []string{"camera=(), geolocation=(), microphone=(), payment=(), usb=()"}
	exposed     = []string{"WWW-Authenticate, Retry-After, X-Request-Id, ETag, DPoP-Nonce"}
)

// setHeaders gives an answer what every answer has. Handlers add to it and may replace: a page
// has a policy of its own.
//
// A machine's answer has no more than it needs: eight headers are a small map, and the ninth
// makes it a large one, for every request.
func (s *Server) setHeaders(h http.Header) {
	h["X-Content-Type-Options"] = nosniff
	h["Content-Security-Policy"] = nothingElse // also says that nothing may frame it
	h["Cache-Control"] = noStore               // RFC 6749 §5.1; documents replace it
	if s.https {
		h["Strict-Transport-Security"] = oneYear
	}
}

// setPageHeaders gives an answer for people what a browser should know before it shows a page,
// or follows a redirect from one.
//
// There is no Cross-Origin-Opener-Policy: it would cut the window that an application opened
// for the sign-in (display=popup) off from the application, for good.
func setPageHeaders(h http.Header) {
	h["Referrer-Policy"] = noReferrer
	h["X-Frame-Options"] = deny // for browsers that do not know frame-ancestors
	h["Permissions-Policy"] = noFeatures
	h["Cross-Origin-Resource-Policy"] = sameOrigin
}

// allowAnyOrigin lets a script of any page read the answer. It is for what needs no cookie and
// looks at none, so there is nothing that a page could do that its server could not do.
func allowAnyOrigin(h http.Header, r *http.Request) {
	h["Access-Control-Allow-Origin"] = everyone // never with Access-Control-Allow-Credentials
	if r.Header["Origin"] != nil {
		// Only a script looks for it. One that gets a document from a cache, without it, misses
		// nothing: a document has no challenge.
		h["Access-Control-Expose-Headers"] = exposed
	}
}

// preflight answers a browser that asks whether a script may send a request, Fetch §3.3.
func preflight(w http.ResponseWriter, r *http.Request, methods []string) {
	h := w.Header()
	allowAnyOrigin(h, r)
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, Accept-Language, DPoP, If-None-Match, X-Requested-With")
	h.Set("Access-Control-Max-Age", "7200")
	w.WriteHeader(http.StatusNoContent)
}
