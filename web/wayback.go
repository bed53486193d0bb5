package web

import (
	"errors"
	"net/http"
	"net/url"

	"mintmark/issuer"
	"mintmark/upstream"
)

// wayBack reads where to go after a sign-in, and returns the page of the application if it is one.
//
// There are three answers and no other: the sealed request of an application, a path of ours, or an
// address that an application has registered, byte for byte. None is to be interpreted, so that no
// two programs can read it in two ways. Whatever else it is, nobody goes on: somebody made that link.
func (s *Site) wayBack(r *http.Request, form url.Values) (upstream.Purpose, issuer.Landing, error) {
	to := form.Get("return_to")
	switch {
	case form.Get("request") != "":
		return upstream.Purpose{Request: form.Get("request")}, issuer.Landing{}, nil
	case to == "" || ownPath(to):
		return upstream.Purpose{Return: to}, issuer.Landing{}, nil
	}
	at, err := s.Provider.Landing(r.Context(), form.Get("client_id"), to)
	if errors.Is(err, issuer.ErrNotFound) {
		e := refusal("bad_return", "", errors.New("return_to is not registered for client_id"))
		e.Ways = []Way{{"another-way", "Sign in here", s.path(PathLogin)}}
		return upstream.Purpose{}, at, e
	}
	return upstream.Purpose{Client: form.Get("client_id"), Landing: to}, at, err
}

// goOn leads back to where somebody came from. The request was sealed by the issuer, which looks
// at it again. A path is one of ours, and an address still registered, whatever the cookie says.
func (s *Site) goOn(w http.ResponseWriter, r *http.Request, to upstream.Purpose) {
	switch {
	case to.Request != "":
		sendTo(w, s.Provider.ResumeURL(to.Request))
		return
	case ownPath(to.Return):
		sendTo(w, s.path(to.Return))
		return
	case to.Landing != "":
		at, err := s.Provider.Landing(r.Context(), to.Client, to.Landing)
		if err == nil {
			sendTo(w, at.Address)
			return
		}
		s.Log.InfoContext(r.Context(), "who has signed in is not sent to the application", "client", to.Client, "err", err)
	}
	sendTo(w, s.path(PathHome)) // signed in they are
}

// wayQuery is a way back as the parameters of our own pages.
func wayQuery(to upstream.Purpose) url.Values {
	q := url.Values{}
	switch {
	case to.Request != "":
		q.Set("request", to.Request)
	case to.Return != "":
		q.Set("return_to", to.Return)
	case to.Landing != "":
		q.Set("client_id", to.Client)
		q.Set("return_to", to.Landing)
	}
	return q
}
