package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"mintmark/accounts"
	"mintmark/internal/secret"
	"mintmark/issuer"
)

type setupPage struct {
	frame
	Done    bool // there is an administrator
	Fields  []field
	Problem *problem // of the form as a whole
	Action  string
}

// A field is an input with its label, and what is said beneath it.
type field struct {
	Name, Label, Type, Autocomplete, InputMode string
	Plain, Required, Focus                     bool
	Value                                      string
	Hint, Problem                              *problem
}

// Describes is the value of aria-describedby.
func (f field) Describes() string {
	var ids []string
	if f.Problem != nil {
		ids = append(ids, f.Problem.ID)
	}
	if f.Hint != nil {
		ids = append(ids, f.Hint.ID)
	}
	return strings.Join(ids, " ")
}

// setupFields is the form, in order.
var setupFields = []field{
	{Name: "code", Label: "Set-up code", Type: "text", Autocomplete: "off", Plain: true, Required: true,
		Hint: &problem{ID: "code-hint", Text: "From the link that the server printed. “mintmark setup-link” prints a new one."}},
	{Name: "username", Label: "E-mail address", Type: "text", Autocomplete: "username", InputMode: "email", Plain: true, Required: true},
	{Name: "name", Label: "Name", Type: "text", Autocomplete: "name"},
	{Name: "password", Label: "Password", Type: "password", Autocomplete: "new-password", Required: true,
		Hint: &problem{ID: "password-hint", Text: "At least 8 characters. A few words are better than signs."}},
}

// Setup makes the first administrator, for whoever brings the code that only the machine's
// terminal showed. It is not open to whoever comes first, and closes once there is one.
func (s *Site) Setup(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	needed, err := s.Directory.NeedsSetup(r.Context())
	if err != nil {
		return err
	}
	page := setupPage{frame: s.frame("Set up " + s.Name), Action: s.path(PathSetup)}
	if !needed {
		status := http.StatusOK
		if r.Method == http.MethodPost {
			status = http.StatusConflict
		}
		return s.setupDone(w, page, status)
	}
	page.Fields = slices.Clone(setupFields)
	if r.Method != http.MethodPost {
		return s.show(w, http.StatusOK, "setup", page, allow{script: true})
	}
	return s.completeSetup(w, r, form, page)
}

func (s *Site) setupDone(w http.ResponseWriter, page setupPage, status int) error {
	page.Title, page.Done = "Already set up", true
	return s.show(w, status, "setup", page, allow{})
}

func (s *Site) completeSetup(w http.ResponseWriter, r *http.Request, form url.Values, page setupPage) error {
	now := time.Now()
	a, err := s.Directory.CompleteSetup(r.Context(), strings.TrimSpace(form.Get("code")), accounts.New{
		Email:    form.Get("username"),
		Name:     strings.TrimSpace(form.Get("name")),
		Password: form.Get("password"),
	}, now)
	if errors.Is(err, accounts.ErrSetupDone) {
		return s.setupDone(w, page, http.StatusConflict) // by somebody else, meanwhile
	}
	if err == nil {
		_, err = s.Sessions.Begin(w, r, a, []string{"pwd"}, issuer.ACRPassword, s.ClientAddress(r), now)
		if err != nil {
			return err
		}
		sendTo(w, s.path(PathHome))
		return nil
	}
	status := statusRefused
	invalid, _ := errors.AsType[*accounts.Invalid](err)
	switch {
	case errors.Is(err, secret.ErrBusy):
		status = http.StatusServiceUnavailable
		retryAfter(w, 2*time.Second)
		page.Problem = &problem{ID: "setup-problem", Text: "The server is busy. Try again in a few seconds."}
	case errors.Is(err, accounts.ErrSetupCode):
		page.blame("code", "The code is wrong, used, or older than 30 minutes.")
	case errors.Is(err, accounts.ErrExists):
		page.blame("username", "Somebody has this address already.")
	case invalid != nil && invalid.Field == "email":
		page.blame("username", "The address "+invalid.Problem+".")
	case invalid != nil && invalid.Field == "name":
		page.blame("name", "The name "+invalid.Problem+".")
	case invalid != nil && invalid.Field == "password":
		page.blame("password", "The password "+invalid.Problem+".")
	default:
		return err
	}
	for i, f := range page.Fields {
		if f.Type != "password" { // it is not sent back
			page.Fields[i].Value = form.Get(f.Name)
		}
	}
	return s.show(w, status, "setup", page, allow{script: true})
}

// blame puts a problem beside its field and the cursor into it.
func (p *setupPage) blame(name, text string) {
	for i, f := range p.Fields {
		p.Fields[i].Focus = f.Name == name
		if f.Name == name {
			p.Fields[i].Problem = &problem{ID: name + "-problem", Field: name, Text: text}
		}
	}
}
