package web

import "strings"

// maxReturn bounds a path to return to, in bytes.
const maxReturn = 512

// ownPath says whether a text that came from outside may be where the browser goes next: a path
// of ours, from the issuer on, with or without a query.
//
// What it may consist of is listed, so that nothing in it can be read in two ways: no
// "//host", no "/\host", no tab that browsers leave out, and no %2f that somebody decodes
// later.
func ownPath(s string) bool {
	path, query, _ := strings.Cut(s, "?")
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
	return len(s) <= maxReturn && strings.HasPrefix(path, "/") &&
		strings.Trim(path, letters+"/") == "" && !strings.Contains(path, "//") && !dots(path) &&
		strings.Trim(query, letters+"=&%:+") == ""
}

// dots says whether a path has a segment that browsers resolve.
func dots(path string) bool {
	return strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")
}
