package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// An asset is a file that pages ask for.
type asset struct {
	kind string
	body []byte
}

var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// loadAssets names every file for what is in it, so that a browser may keep it for good.
func loadAssets() (assets map[string]asset, named map[string]string, err error) {
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, nil, err
	}
	assets, named = map[string]asset{}, map[string]string{}
	for _, entry := range entries {
		body, err := staticFiles.ReadFile("static/" + entry.Name())
		if err != nil {
			return nil, nil, err
		}
		sum := sha256.Sum256(body)
		kind := path.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), kind) + "-" + hex.EncodeToString(sum[:6]) + kind
		assets[name] = asset{kinds[kind], body}
		named[entry.Name()] = name
	}
	return assets, named, nil
}

// Static serves the stylesheet, the icon and the script of the set-up page, below [PathStatic].
// A name is of one content: what changes gets another name.
func (s *Site) Static(w http.ResponseWriter, r *http.Request) error {
	a, ok := s.assets[path.Base(r.URL.Path)]
	if !ok {
		// A page of another version of the program may ask for it, in the seconds of an upgrade.
		s.Error(w, r, http.StatusNotFound, "not_found", "Page not found", "There is nothing at this address.", s.requestID(r))
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.Write(a.body) // if nobody reads it, there is nobody to tell
	return nil
}
