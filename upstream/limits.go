package upstream

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
)

// The limits of limits. They are in every token.
const (
	maxLimits     = 32      // names
	maxLimit      = 64      // bytes of a name
	maxLimitsText = 2 << 10 // bytes of JSON
)

var errLimits = errors.New("limits are not an object of at most 32 numbers, texts and booleans in 2 KiB")

// limitsOf reads what somebody may do: an object of numbers, texts and booleans. It is taken whole or
// not at all: half of somebody's limits would let them do more. Nothing is nil.
func limitsOf(v any) (map[string]any, error) {
	if v == nil {
		return nil, nil
	}
	limits, ok := v.(map[string]any)
	if !ok || len(limits) > maxLimits {
		return nil, errLimits
	}
	for name, value := range limits {
		if name == "" || len(name) > maxLimit || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) || !isLimit(value) {
			return nil, errLimits
		}
	}
	text, err := json.Marshal(limits)
	if err != nil || len(text) > maxLimitsText {
		return nil, errLimits
	}
	if len(limits) == 0 {
		return nil, nil
	}
	return limits, nil
}

func isLimit(v any) bool {
	switch v := v.(type) {
	case bool:
		return true
	case string:
		return v == short(v, maxText)
	case json.Number:
		f, err := v.Float64() // what whoever reads a token makes of it
		return err == nil && !math.IsInf(f, 0) && len(v) <= 32
	}
	return false
}
