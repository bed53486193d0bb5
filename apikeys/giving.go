package apikeys

import (
	"net/netip"
	"slices"
)

// A NotYours is the refusal of a key that would give what it has not itself.
type NotYours struct {
	Right string // "scopes", "audience", "networks" or "life"
	What  string // the scope or the resource, if it is one of those
}

// Error says so.
func (e *NotYours) Error() string {
	return "apikeys: the key has not the " + e.Right + " that it gives"
}

// An act is what one key does to another.
type act string

const (
	making   act = "make"
	rotating act = "rotate"
	changing act = "change"
	ending   act = "disable, enable or revoke"
)

// giving is what a key must have itself to do something to another: the other's rights, and when
// they are asked for. Scopes and audience are asked for as far as they are rights at this server:
// all those of a key of the instance, and the scopes of ours that a service may have. What a
// key of a person or a service may do elsewhere, keys:write is the right to give.
var giving = []struct {
	right string
	asked []act // changing: if the change is about it
	lacks func(giver, given Key) (what string, lacks bool)
}{
	{"scopes", []act{making, rotating, changing, ending}, lacksScope},
	{"audience", []act{making, rotating, changing}, lacksAudience},
	{"networks", []act{making, rotating, changing}, lacksNetworks},
	{"life", []act{making, rotating, changing}, lacksLife},
}

// may says whether by may do something to a key, or bring it into this state: nil, or a [*NotYours].
// was is the key as it was, for a change.
func (b By) may(do act, was, given Key) error {
	if b.Giver == nil {
		return nil
	}
	for _, rule := range giving {
		switch {
		case !slices.Contains(rule.asked, do):
			continue
		case do == rotating && rule.right == "life" && b.Giver.ID == was.ID:
			continue // it lives on in its successor, under the eyes of the audit log
		case do == changing && rule.right == "scopes":
			// Nobody takes off a stronger key what holds it, either.
			if what, lacks := lacksScope(*b.Giver, was); lacks {
				return &NotYours{rule.right, what}
			}
		case do == changing && !differs(rule.right, was, given):
			continue
		}
		if what, lacks := rule.lacks(*b.Giver, given); lacks {
			return &NotYours{rule.right, what}
		}
	}
	return nil
}

// MayMake says whether by may make keys at all: nil, or a [*NotYours].
func (b By) MayMake() error {
	if b.Giver == nil || slices.Contains(b.Giver.Scopes, "keys:write") {
		return nil
	}
	return &NotYours{"scopes", "keys:write"}
}

// MayLend says whether by may have somebody else use a key without showing it: nil, or a [*NotYours].
// It is as much as to make one like it.
func (b By) MayLend(k Key) error { return b.may(making, Key{}, k) }

func differs(right string, was, given Key) bool {
	switch right {
	case "audience":
		return !slices.Equal(was.Audience, given.Audience)
	case "networks":
		return !slices.Equal(was.Allow, given.Allow) || !slices.Equal(was.Deny, given.Deny)
	}
	return !was.ExpiresAt.Equal(given.ExpiresAt)
}

// lacksScope is about rights at this server.
func lacksScope(giver, given Key) (string, bool) {
	for _, scope := range given.Scopes {
		ours := given.OwnerType == OwnerInstance || given.OwnerType == OwnerService && ForServices(scope)
		if ours && !slices.Contains(giver.Scopes, scope) {
			return scope, true
		}
	}
	return "", false
}

func lacksAudience(giver, given Key) (string, bool) {
	if given.OwnerType != OwnerInstance {
		return "", false
	}
	for _, audience := range given.Audience {
		if !slices.Contains(giver.Audience, audience) {
			return audience, true
		}
	}
	return "", false
}

// lacksNetworks says whether given can be used from where giver can't.
func lacksNetworks(giver, given Key) (string, bool) {
	allow, deny := prefixes(given.Allow), prefixes(given.Deny)
	if within := prefixes(giver.Allow); len(giver.Allow) > 0 {
		if len(allow) == 0 {
			return "", true
		}
		for _, n := range allow {
			if !covered(n, within) {
				return "", true
			}
		}
	}
	for _, n := range prefixes(giver.Deny) {
		reachable := len(allow) == 0 || slices.ContainsFunc(allow, n.Overlaps)
		if reachable && !covered(n, deny) {
			return "", true
		}
	}
	return "", false
}

// covered says whether one of the networks holds all of n.
func covered(n netip.Prefix, by []netip.Prefix) bool {
	return slices.ContainsFunc(by, func(other netip.Prefix) bool { return other.Bits() <= n.Bits() && other.Overlaps(n) })
}

// lacksLife says whether given works when giver does no longer.
func lacksLife(giver, given Key) (string, bool) {
	end := giver.ends()
	return "", !end.IsZero() && (given.ExpiresAt.IsZero() || given.ExpiresAt.After(end))
}
