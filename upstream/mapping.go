package upstream

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of what is taken over.
const (
	maxClaim  = 1024
	maxClaims = 16 << 10
	maxGroups = 1000
	maxGroup  = 255
)

// find returns what the first document with something at a path has there.
func find(docs []document, path string) any {
	if path == "" {
		return nil
	}
	for _, d := range docs {
		if v := d.at(path); v != nil {
			return v
		}
	}
	return nil
}

// identify makes an identity of what the provider says, by the mapping of its row and kind.
func (t *talk) identify(docs []document, known places) (Identity, error) {
	who := Identity{ProviderID: t.p.ID}
	for _, read := range []func(*Identity, []document, places) error{t.subject, t.email, t.groups, t.roles, t.session, t.claims} {
		if err := read(&who, docs, known); err != nil {
			return Identity{}, err
		}
	}
	return who, nil
}

// subject reads the provider's name for the person. A number is one too; a name of several
// tenants is one only together with the tenant.
func (t *talk) subject(who *Identity, docs []document, known places) error {
	switch v := docs[0].at(t.p.path("sub")).(type) { // the ID token, if there is one: never from elsewhere
	case string:
		who.Subject = v
	case json.Number:
		if strings.Trim(v.String(), "0123456789") == "" && len(v) <= 20 {
			who.Subject = v.String()
		}
	}
	if who.Subject != "" && strings.Contains(known.Issuer, tenantID) {
		who.Subject = docs[0].text("tid") + ":" + who.Subject
	}
	if !isSubject(who.Subject) {
		return t.refuse("bad_subject", nil)
	}
	return nil
}

// email reads the address, and whether it was verified from the same document: one document's word
// is no word about another's address.
func (t *talk) email(who *Identity, docs []document, _ places) error {
	path := t.p.path("email")
	i := slices.IndexFunc(docs, func(d document) bool { return path != "" && d.at(path) != nil })
	if i < 0 {
		return nil
	}
	email, ok := docs[i].at(path).(string)
	switch {
	case ok && email == "":
		return nil
	case !ok || !plainEmail(email):
		return t.refuse("bad_email", errors.New("the address is not plainly one"))
	}
	var said any
	if path := t.p.path("email_verified"); path != "" {
		said = docs[i].at(path)
	}
	verified, ok := t.p.reader()(said)
	if !ok {
		return t.refuse("bad_email_verified", errors.New("it is not a boolean"))
	}
	who.Email, who.EmailVerified = email, verified
	k := kinds[t.p.Kind]
	domain := domainOf(email)
	who.EmailHosted = verified && (slices.Contains(k.hosts, domain) || k.hd && strings.EqualFold(docs[i].text("hd"), domain))
	return nil
}

func (t *talk) groups(who *Identity, docs []document, _ places) error {
	groups, err := t.list(docs, t.p.path("groups"))
	who.Groups = groups
	return err
}

// list reads a list of texts, without repetitions. It is taken whole or not at all: half of
// somebody's groups would be somebody else.
func (t *talk) list(docs []document, path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	for _, d := range docs {
		list, ok := d.texts(path)
		switch {
		case !ok || len(list) > maxGroups || slices.ContainsFunc(list, func(s string) bool {
			return s == "" || len(s) > maxGroup || strings.ContainsFunc(s, unprintable)
		}):
			return nil, t.refuse("bad_groups", nil)
		case len(list) > 0:
			slices.Sort(list)
			return slices.Compact(list), nil
		}
	}
	return nil, nil
}

// roles gives the roles of the row's rules, and no others. A rule about an address is about one that
// was verified: anybody can write the administrator's into their profile.
func (t *talk) roles(who *Identity, docs []document, _ places) error {
	for _, rule := range t.p.Roles {
		has := who.Groups
		switch {
		case rule.Claim == "email" && who.EmailVerified:
			has = []string{who.Email}
		case rule.Claim == "email":
			has = nil
		case rule.Claim != "groups" || t.p.path("groups") == "":
			has = nil
			for _, d := range docs {
				if list, ok := d.texts(rule.Claim); ok && len(list) > 0 {
					has = list
					break
				}
			}
		}
		if slices.Contains(has, rule.Value) && !slices.Contains(who.Roles, rule.Role) {
			who.Roles = append(who.Roles, rule.Role)
		}
	}
	return nil
}

// session reads what the ID token says of the sign-in itself. It is optional, and what is not as it
// should be is left out.
func (t *talk) session(who *Identity, docs []document, _ places) error {
	if !kinds[t.p.Kind].connect {
		return nil
	}
	claims := docs[0]
	who.AuthTime, _ = claims.moment("auth_time")
	switch {
	case who.AuthTime.After(t.now.Add(skew)):
		who.AuthTime = time.Time{} // nobody proves anything in the future
	case who.AuthTime.After(t.now):
		who.AuthTime = t.now // its clock is ahead
	}
	who.ACR = short(claims.text("acr"), maxText)
	who.SessionID = short(claims.text("sid"), maxText)
	if amr, ok := claims.texts("amr"); ok && len(amr) <= 10 && !slices.ContainsFunc(amr, func(s string) bool { return short(s, 64) == "" }) {
		who.AMR = amr
	}
	return nil
}

// claims takes over the standard claims that are texts. One that is not as it should be is left
// out: a name in a strange form must not keep somebody from signing in.
func (t *talk) claims(who *Identity, docs []document, _ places) error {
	taken := map[string]string{}
	for _, name := range claimNames {
		text, _ := find(docs, t.p.path(name)).(string)
		if text = short(strings.TrimSpace(text), maxClaim); text == "" {
			continue
		}
		if slices.Contains([]string{"profile", "picture", "website"}, name) && address(text) != "" {
			continue
		}
		taken[name] = text
	}
	who.Name = taken["name"]
	if who.Name == "" {
		who.Name = strings.TrimSpace(taken["given_name"] + " " + taken["family_name"])
	}
	text, err := json.Marshal(taken)
	if err != nil || len(text) > maxClaims {
		text = []byte("{}")
	}
	who.Claims = text
	return nil
}

// short returns a text, or "" if it is too long or has what can't be seen in it.
func short(s string, most int) string {
	if len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return unprintable(c) || invisible(c) }) {
		return ""
	}
	return s
}

// invisible says whether a character changes how others are shown: what is shown would not be what
// is there.
func invisible(c rune) bool {
	return 0x200b <= c && c <= 0x200f || 0x2028 <= c && c <= 0x202e || 0x2060 <= c && c <= 0x206f || c == 0xfeff
}
