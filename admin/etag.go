package admin

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// etag is the entity tag of what is shown of a resource, RFC 9110 §8.8.3: another for
// everything that can be seen of it.
func etag(shown any) string {
	text, err := json.Marshal(shown)
	if err != nil {
		return "" // it is about to be encoded for the answer, where this is told
	}
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// unchanged refuses a change that was meant for a resource in another state than it is in:
// If-Match, RFC 9110 §13.1.1. Without the header every state will do.
func unchanged(ifMatch string, shown any) error {
	if ifMatch == "" || strings.TrimSpace(ifMatch) == "*" {
		return nil
	}
	tag := etag(shown)
	for one := range strings.SplitSeq(ifMatch, ",") {
		// A weak tag (W/"…") matches nothing, §8.8.3.2.
		if strings.TrimSpace(one) == tag {
			return nil
		}
	}
	return refuse(changed, "It is not any more as it was when you read it. Read it again, and see whether your change still makes sense.")
}
