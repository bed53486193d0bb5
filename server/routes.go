package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"mintmark/admin"
	"mintmark/issuer"
	"mintmark/web"
)

// A route is an address of ours, below the issuer.
type route struct {
	methods string // separated by spaces; GET includes HEAD; empty: the handler knows
	path    string
	class   *class
	handle  func(http.ResponseWriter, *http.Request) error
}

// A class is what routes of one kind have in common.
type class struct {
	say       voice // how it says no
	people    bool  // a browser shows its answers
	anyOrigin bool  // scripts of any site may use it (CORS); it looks at no cookie
	ownOrigin bool  // forms of other sites may not be sent to it
	takesKeys bool  // API keys may be sent to it, so that one in its address is somebody's mistake
	maxBody   int64
}

const smallBody = 64 << 10

// apiPath is where the admin API lives, below the issuer.
const apiPath = "/api/v1"

// The classes.
var (
	document    = &class{say: inJSON, anyOrigin: true, maxBody: smallBody}                    // public, the same for everybody
	application = &class{say: inJSON, anyOrigin: true, takesKeys: true, maxBody: smallBody}   // for applications, those in a browser too
	backend     = &class{say: inJSON, takesKeys: true, maxBody: smallBody}                    // for servers only
	resource    = &class{say: inBearer, anyOrigin: true, takesKeys: true, maxBody: smallBody} // protected by an access token
	door        = &class{say: inAPage, people: true, maxBody: smallBody}                      // people arrive here from applications and providers, by GET or by POST
	page        = &class{say: inAPage, people: true, ownOrigin: true, maxBody: smallBody}     // for people
	begin       = &class{say: asAsked, people: true, maxBody: smallBody}                      // for people, and for scripts of ours
	api         = &class{say: inProblem, maxBody: admin.MaxBody}                              // for operators' programs; never with a cookie
	proxied     = &class{say: inGuard, maxBody: 1 << 62}                                      // for proxies, which may send the body of the original request: nobody reads it
	ourPage     = &class{say: inGuard, maxBody: smallBody}                                    // for scripts of pages of ours, which the handler tells by their origin
	probe       = &class{say: inText, maxBody: smallBody}                                     // for whatever watches the process
)

// routes is every address there is.
func (s *Server) routes() []route {
	all := []route{
		{"POST", issuer.PathToken, application, s.provider.Token},
		{"POST", issuer.PathIntrospect, backend, s.provider.Introspect},
		{"GET POST", issuer.PathUserInfo, resource, s.provider.UserInfo},
		{"POST", issuer.PathRevoke, application, s.provider.Revoke},
		{"GET", issuer.PathJWKS, document, s.known.JWKS},
		{"GET", "/keys", document, s.known.JWKS},
		{"GET", "/.well-known/openid-configuration", document, s.known.OpenID},
		{"GET", "/.well-known/oauth-authorization-server", document, s.known.OAuth},

		{"GET POST", issuer.PathAuthorize, door, s.provider.Authorize},
		{"GET", issuer.PathAuthorize + "/{request}", door, s.provider.Authorize},
		{"GET POST", issuer.PathEndSession, door, s.provider.EndSession},

		{"GET POST", web.PathLogin, page, s.site.Login},
		{"GET", web.PathLogin + "/{provider}", begin, s.site.Begin},
		{"GET POST", web.PathLogin + "/{provider}/callback", door, s.site.Callback}, // POST: from the provider's site
		{"POST", web.PathLogin + "/{provider}/prove", page, s.site.Prove},
		{"GET POST", web.PathAccount, page, s.site.Account},
		{"GET POST", web.PathKeys, page, s.site.Keys},
		{"GET POST", web.PathConsent, page, s.site.Consent},
		{"GET POST", web.PathLogout, page, s.site.Logout},
		{"GET POST", web.PathSetup, page, s.site.Setup},
		{"GET", web.PathHome, page, s.site.Home},
		{"GET", web.PathStatic + "{file}", page, s.site.Static},

		{"POST OPTIONS", web.PathSession, ourPage, s.site.Session},
		{"", apiPath + "/keys/verify", api, s.api}, // busy: found without the router
		{"", apiPath + "/{rest:.*}", api, s.api},

		{"", pathVerify, proxied, s.forward},
		{"", pathVerify + "/{rest:.*}", proxied, s.forward},

		{"GET", "/healthz", probe, s.healthz},
		{"GET", "/readyz", probe, s.readyz},
	}
	if s.cfg.Dev {
		all = append(all, route{"GET", "/metrics", probe, s.metrics.serve})
	}
	return all
}

// A router finds the route of a request. No path leads to a redirect: see [admit].
type router struct {
	fixed  map[string]http.HandlerFunc // by path: all but a few, and all that are busy
	others *mux.Router                 // paths with a variable in them
}

func (s *Server) newRouter(routes []route) *router {
	all := &router{fixed: map[string]http.HandlerFunc{}, others: mux.NewRouter().SkipClean(true).UseEncodedPath()}
	for _, r := range routes {
		if strings.Contains(r.path, "{") {
			all.others.Handle(r.path, s.serve(r))
		} else {
			all.fixed[r.path] = s.serve(r)
		}
	}
	return all
}

// find returns the handler of a request, or nil.
func (t *router) find(r *http.Request) http.Handler {
	// A path that was sent in another encoding than ours is not one of ours.
	if h, ok := t.fixed[r.URL.Path]; ok && r.URL.RawPath == "" {
		return h
	}
	// Not ServeHTTP: it copies the request twice, for variables that nobody asks for.
	var to mux.RouteMatch
	if !t.others.Match(r, &to) || to.Handler == nil {
		return nil
	}
	return to.Handler
}

// serve puts what the class of a route demands around its handler.
func (s *Server) serve(to route) http.HandlerFunc {
	methods := strings.Fields(to.methods)
	if slices.Contains(methods, "GET") {
		methods = slices.Insert(methods, 1, "HEAD")
	}
	if to.class.anyOrigin {
		methods = append(methods, "OPTIONS")
	}
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		x.route, x.say = to.path, to.class.say
		if to.class.people {
			setPageHeaders(x.Header())
		}
		switch {
		case to.methods != "" && !slices.Contains(methods, r.Method):
			x.Header().Set("Allow", allow) // RFC 9110 §15.5.6
			s.refuse(x, r, to.class.say, errMethod)
			return
		case r.Method == "OPTIONS" && to.class.anyOrigin:
			preflight(x, r, methods)
			return
		case to.class.anyOrigin:
			allowAnyOrigin(x.Header(), r)
		case to.class.ownOrigin:
			if err := s.fromOurPage(r); err != nil {
				s.refuse(x, r, to.class.say, &because{errCrossSite, err})
				return
			}
		}
		// The guards of the admin API and of forward auth look by themselves.
		if to.class.takesKeys && r.URL.RawQuery != "" && s.guards.people.CheckURL(r, r.URL) != nil {
			s.refuse(x, r, to.class.say, errInAddress)
			return
		}
		if r.ContentLength > to.class.maxBody {
			s.refuse(x, r, to.class.say, errTooLarge)
			return
		}
		if r.Body != nil && r.Body != http.NoBody {
			// Not x: it is net/http's own writer that knows how to close the connection.
			r.Body = http.MaxBytesReader(x.ResponseWriter, r.Body, to.class.maxBody)
		}
		if err := to.handle(x, r); err != nil {
			s.refuse(x, r, to.class.say, err)
		}
	}
}

// voiceOf is how to say no to a request that came to no route. Programs that look for documents
// get JSON.
func voiceOf(r *http.Request, prefix string) voice {
	path, below := strings.CutPrefix(r.URL.Path, prefix)
	switch {
	case strings.HasPrefix(r.URL.Path, "/.well-known/"):
		return inJSON
	case below && (path == apiPath || strings.HasPrefix(path, apiPath+"/")):
		return inProblem
	}
	return inAPage
}

// api hands a request on to the admin API, which writes its own errors: problem documents, RFC 9457.
func (s *Server) api(w http.ResponseWriter, r *http.Request) error {
	s.admin.ServeHTTP(w, r)
	return nil
}
