package issuer

import (
	"encoding/json"
	"strconv"
	"sync"
	"unicode/utf8"
)

// An object is a JSON object that is being written, member by member, without reflection:
// the token endpoint writes two or three for each token. The names are ours and need no
// escaping; the values may be anything. It is used by one goroutine.
type object struct{ b []byte }

var objects = sync.Pool{New: func() any { return &object{b: make([]byte, 0, 4<<10)} }}

// maxPooled bounds what a pooled object keeps, so that one large answer does not stay forever.
const maxPooled = 64 << 10

// newObject returns an empty object, to be given back with free.
func newObject() *object {
	o := objects.Get().(*object)
	o.b = append(o.b[:0], '{')
	return o
}

func (o *object) free() {
	if cap(o.b) <= maxPooled {
		objects.Put(o)
	}
}

// end closes the object and returns its text, which is good until free.
func (o *object) end() []byte {
	o.b = append(o.b, '}')
	return o.b
}

func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) str(name, value string) {
	o.name(name)
	o.b = appendString(o.b, value)
}

// set is str for a member that is left out if it is empty.
func (o *object) set(name, value string) {
	if value != "" {
		o.str(name, value)
	}
}

// raw writes a value that is JSON already, and is left out if it is empty.
func (o *object) raw(name, value string) {
	if value != "" {
		o.name(name)
		o.b = append(o.b, value...)
	}
}

// token writes a value that consists of characters that need no escaping.
func (o *object) token(name string, value []byte) {
	o.name(name)
	o.b = append(o.b, '"')
	o.b = append(o.b, value...)
	o.b = append(o.b, '"')
}

func (o *object) num(name string, value int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) flag(name string, value bool) {
	o.name(name)
	o.b = strconv.AppendBool(o.b, value)
}

// list writes an array of strings.
func (o *object) list(name string, values []string) {
	o.name(name)
	o.b = append(o.b, '[')
	for i, v := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = appendString(o.b, v)
	}
	o.b = append(o.b, ']')
}

// oneOrMany writes one string, or an array if there are several. RFC 7519 §4.1.3
func (o *object) oneOrMany(name string, values []string) {
	if len(values) == 1 {
		o.str(name, values[0])
		return
	}
	o.list(name, values)
}

// words writes strings as one, separated by spaces. RFC 6749 §3.3
func (o *object) words(name string, values []string) {
	o.name(name)
	o.b = append(o.b, '"')
	for i, v := range values {
		if i > 0 {
			o.b = append(o.b, ' ')
		}
		o.b = appendEscaped(o.b, v)
	}
	o.b = append(o.b, '"')
}

// any writes a value of which only the database knows what it is.
func (o *object) any(name string, value any) error {
	switch v := value.(type) {
	case string:
		o.str(name, v)
	case bool:
		o.flag(name, v)
	case int64:
		o.num(name, v)
	default:
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		o.name(name)
		o.b = append(o.b, text...)
	}
	return nil
}

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

// appendEscaped appends the inside of a JSON string, RFC 8259 §7. What is not UTF-8 becomes
// U+FFFD, as encoding/json has it.
func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if 0x20 <= c && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[done:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, "\ufffd"...)
		}
		i += size
		done = i
	}
	return append(dst, s[done:]...)
}
