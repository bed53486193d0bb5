package admin

import (
	"encoding/json"
)

// merge returns a value with a JSON merge patch applied to its JSON, RFC 7396: what is null goes, what is
// there replaces, the rest stays, and so on inside of objects. The members without are not the
// value's own and are left out.
func merge[T any](was T, change []byte, without ...string) (T, error) {
	var is T
	text, err := json.Marshal(was)
	if err != nil {
		return is, err
	}
	var members, set map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return is, err
	}
	if err := json.Unmarshal(change, &set); err != nil {
		return is, err
	}
	for _, name := range without {
		delete(set, name)
	}
	if err := mergeInto(members, set); err != nil {
		return is, err
	}
	if text, err = json.Marshal(members); err != nil {
		return is, err
	}
	err = json.Unmarshal(text, &is)
	return is, err
}

func mergeInto(members, set map[string]json.RawMessage) error {
	for name, value := range set {
		var inner, change map[string]json.RawMessage
		switch {
		case string(value) == "null":
			delete(members, name)
			continue
		case value[0] != '{':
			members[name] = value
			continue
		}
		if json.Unmarshal(members[name], &inner) != nil || inner == nil {
			inner = map[string]json.RawMessage{} // it was no object, or was not there
		}
		if err := json.Unmarshal(value, &change); err != nil {
			return err
		}
		if err := mergeInto(inner, change); err != nil {
			return err
		}
		text, err := json.Marshal(inner)
		if err != nil {
			return err
		}
		members[name] = text
	}
	return nil
}

// mentions says whether a JSON object has a member, be it null.
func mentions(text []byte, name string) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return false
	}
	_, ok := members[name]
	return ok
}
