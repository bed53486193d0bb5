package web

import (
	"net/http"
)

type errorPage struct {
	frame
	Text      string
	Code      string
	RequestID string
	Ways      []Way
}

// Error writes an error page: what happened in a title and a text for the person, the code for
// the developer, and the id under which the log knows more. It never fails: if the page can't
// be made, it is plain text.
func (s *Site) Error(w http.ResponseWriter, r *http.Request, status int, code, title, text, requestID string) {
	s.showError(w, r, status, errorPage{frame: s.frame(title), Text: text, Code: code, RequestID: requestID})
}

func (s *Site) showError(w http.ResponseWriter, r *http.Request, status int, page errorPage) {
	if err := s.show(w, status, "error", page, allow{}); err != nil {
		s.Log.ErrorContext(r.Context(), "the error page can't be made", "err", err)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		w.Write([]byte(page.Title + "\n" + page.Text + "\n"))
	}
}

func (s *Site) requestID(r *http.Request) string {
	if s.RequestID == nil {
		return ""
	}
	return s.RequestID(r.Context())
}
