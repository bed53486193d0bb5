package web

import (
	"strings"

	"mintmark/issuer"
)

// A scope is what an application asks for, as people read it.
type scope struct {
	Title, Text string
	Icon        string // the path of a drawing of 24 by 24
	Custom      bool   // it is the application's own, and the title is its name
}

// scopes is what each scope means. The other scopes are the application's own.
var scopes = map[string]scope{
	"openid": {
		Title: "Recognise you",
		Text:  "It learns that you are the same person each time, and never your password.",
		Icon:  "M12 3 5 6v5c0 4.5 3 8.3 7 10 4-1.700 7-5.500 7-10V6l-7-3Zm-3 9 2 2 4-4",
	},
	"profile": {
		Title: "See your profile",
		Text:  "Your name, and what else you have filled in: picture, birthday, gender, language, links.",
		Icon:  "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4 21c0-3.500 3.500-6 8-6s8 2.500 8 6",
	},
	"email": {
		Title: "See your e-mail address",
		Text:  "And whether it was verified.",
		Icon:  "M4 5h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Zm0 2 8 6 8-6",
	},
	"address": {
		Title: "See your postal address",
		Text:  "As you have filled it in.",
		Icon:  "M12 21s-7-6-7-11a7 7 0 0 1 14 0c0 5-7 11-7 11Zm0-14a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z",
	},
	"keys:own": {
		Title: "Look after your API keys",
		Text:  "Make, replace and revoke keys with which programs act for you, also when you are not here.",
		Icon:  ownIcon,
	},
	"phone": {
		Title: "See your phone number",
		Text:  "And whether it was verified.",
		Icon:  "M8 3h8a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm3 15h2",
	},
}

const ownIcon = "M15 4a5 5 0 1 0-4.800 6.500L4 17v3h4v-2h2v-2h2l1.500-1.700A5 5 0 0 0 15 4Zm1 4h.01"

// readScopes returns what to show for the scopes of a request. offline_access is no thing to
// see but a time: it is told where the page says for how long.
func readScopes(names []string) (shown []scope, offline bool) {
	for _, name := range names {
		known, ok := scopes[name]
		switch {
		case name == "offline_access":
			offline = true
		case ok:
			shown = append(shown, known)
		case strings.HasPrefix(name, issuer.ScopeProvider):
			at := strings.TrimPrefix(name, issuer.ScopeProvider)
			shown = append(shown, scope{Title: "Act for you at " + at, Icon: ownIcon,
				Text: "If you have signed in with " + at + " here, it can do there what you allowed there. It never gets your password."})
		default:
			shown = append(shown, scope{Title: name, Text: "A permission of the application’s own.", Icon: ownIcon, Custom: true})
		}
	}
	return shown, offline
}

// webPage returns an address that a client registered if it is that of a web page.
func webPage(address string) string {
	if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://") {
		return address
	}
	return ""
}
