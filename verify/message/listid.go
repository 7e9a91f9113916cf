package message

import "strings"

// maxListID bounds a list identifier, in octets (RFC 2919 section 2).
const maxListID = 255

// ListID returns the identifier in the List-Id field (RFC 2919 section 2), in
// lower case; "" where there is none, or where there are several: a reader then
// cannot know which one counts.
func (h Header) ListID() string {
	id, found := "", false
	for i := range h {
		if !h[i].Is("list-id") {
			continue
		}
		if found {
			return ""
		}
		found = true
		// What is before the brackets is a description, which may hold anything.
		_, text, ok := cutLast(h[i].Raw, "<")
		if !ok {
			continue
		}
		text, _, ok = strings.Cut(text, ">")
		if text = strings.TrimSpace(text); ok && len(text) <= maxListID {
			id = strings.ToLower(text)
		}
	}
	return id
}

// cutLast is [strings.Cut] at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
