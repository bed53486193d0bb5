// Package nearest answers: which name did they mean?
//
// Whoever misspells a key, a claim or a parameter is refused, because otherwise they would
// believe that it had an effect. The refusal is of more use if it names the right one.
package nearest

import "strings"

// maxName is the longest name, in bytes, that is compared with anything: it comes from outside.
const maxName = 100

// Name returns the known name that takes the fewest bytes to insert, delete or replace, if
// it takes no more than within. Of several it is the first; without one it is "".
func Name(name string, known []string, within int) string {
	if len(name) > maxName {
		return ""
	}
	best, least := "", within+1
	for _, candidate := range known {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is how many bytes to insert, delete or replace to make a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// Shorten keeps a name that came from outside from filling a message or a log.
func Shorten(name string) string {
	const limit = 40
	if len(name) <= limit {
		return name
	}
	return strings.ToValidUTF8(name[:limit], "") + "…"
}
