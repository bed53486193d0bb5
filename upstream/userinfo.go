package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// learn returns what the provider says of who has arrived. What comes first goes before.
func (t *talk) learn(known places, a *attempt, tokens *granted) ([]document, error) {
	k := kinds[t.p.Kind]
	if !k.connect {
		d, err := t.readUser(known, tokens.access)
		if err != nil {
			return nil, err
		}
		return []document{d}, nil
	}
	claims, err := t.verify(known, a, tokens)
	if err != nil {
		return nil, err
	}
	docs := []document{claims}
	if known.UserInfo == "" || !t.wants(claims) {
		return docs, nil
	}
	// Core §5.4: with the code flow, the claims of the scopes are there and not in the ID token.
	more, err := t.userInfo(known.UserInfo, tokens.access)
	if err != nil {
		return nil, err
	}
	// §5.3.2: "The sub Claim in the UserInfo Response MUST be verified to exactly match".
	if more.text("sub") != claims.text("sub") {
		return nil, t.refuse("other_subject", nil)
	}
	return append(docs, more), nil
}

// wants says whether something that the row or its kind asks for is not in the ID token.
func (t *talk) wants(claims document) bool {
	paths := []string{t.p.path("email"), t.p.path("name"), t.p.Mapping["groups"]}
	if t.p.Kind == "apple" || t.p.Kind == "microsoft" {
		paths = nil // there is none, or it says nothing more
	}
	for _, path := range t.p.Mapping {
		paths = append(paths, path)
	}
	for _, r := range t.p.Roles {
		if r.Claim != "groups" {
			paths = append(paths, r.Claim)
		}
	}
	return slices.ContainsFunc(paths, func(path string) bool { return path != "" && claims.at(path) == nil })
}

// userInfo reads one object with an access token, OpenID Connect Core §5.3.
func (t *talk) userInfo(address, access string) (document, error) {
	v, _, err := t.show(address, access, "application/json")
	if err != nil {
		return nil, err
	}
	d, ok := v.(map[string]any)
	if !ok {
		return nil, t.refuse("bad_userinfo", errDocument)
	}
	return d, nil
}

// readUser reads who has arrived where there is no ID token.
func (t *talk) readUser(known places, access string) (document, error) {
	if read := readers[t.p.Kind]; read != nil {
		return read(t, access)
	}
	return t.userInfo(known.UserInfo, access)
}

// readGitHub reads GET /user, and of GET /user/emails the one address that is the person's main
// one and verified. The address in /user is what they chose to show: it may be none, and is
// not said to be verified.
func readGitHub(t *talk, access string) (document, error) {
	const accept = "application/vnd.github+json"
	at := placesOf(t.p).UserInfo
	v, _, err := t.show(at, access, accept)
	if err != nil {
		return nil, err
	}
	user, ok := v.(map[string]any)
	if !ok {
		return nil, t.refuse("bad_userinfo", errDocument)
	}
	// A number, always: a name can pass to somebody else.
	if _, ok := user["id"].(json.Number); !ok {
		return nil, t.refuse("bad_subject", errors.New("the id is not a number"))
	}
	delete(user, "email")
	list := t.p.EmailsURL
	if list == "" {
		list = strings.TrimSuffix(at, "/") + "/emails"
	}
	v, status, err := t.show(list, access, accept)
	if status == http.StatusForbidden || status == http.StatusNotFound {
		return nil, t.refuse("no_email_scope", err) // without the scope user:email
	}
	if err != nil {
		return nil, err
	}
	emails, ok := v.([]any)
	if !ok || len(emails) > 1000 {
		return nil, t.refuse("bad_userinfo", errors.New("the addresses are not a list of reasonable length"))
	}
	for _, item := range emails {
		e, ok := item.(map[string]any)
		if ok && e["primary"] == true && e["verified"] == true {
			user["email"], user["email_verified"] = e["email"], true
		}
	}
	return user, nil
}

// readDiscord reads GET /users/@me and, if people of one guild only may sign in, what they are
// there. The roles become groups, by their ids.
func readDiscord(t *talk, access string) (document, error) {
	at := placesOf(t.p).UserInfo
	user, err := t.userInfo(at, access)
	if err != nil {
		return nil, err
	}
	if _, ok := user["id"].(string); !ok {
		return nil, t.refuse("bad_subject", errors.New("the id is not a text"))
	}
	delete(user, "member")
	guild := t.p.option("guild")
	if guild == "" {
		return user, nil
	}
	v, status, err := t.show(strings.TrimSuffix(at, "/")+"/guilds/"+guild+"/member", access, "application/json")
	switch {
	case status == http.StatusNotFound || status == http.StatusForbidden:
		return nil, t.refuse("not_a_member", fmt.Errorf("guild %s: %d", guild, status))
	case err != nil:
		return nil, err
	}
	member, ok := v.(map[string]any)
	if !ok {
		return nil, t.refuse("bad_userinfo", errDocument)
	}
	if whose := document(member).text("user.id"); whose != "" && whose != user["id"] {
		return nil, t.refuse("other_subject", nil)
	}
	user["member"] = member
	return user, nil
}
