package arc

import (
	"encoding/base64"
	"fmt"
	"strings"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

const (
	// foldAt is the line length to fold at (RFC 5322 section 2.1.1).
	foldAt = 78
	// tabWidth is the width of the TAB after a fold.
	tabWidth = 8
	fold     = "\r\n\t"
)

// tagWriter writes a tag list, folded.
type tagWriter struct {
	name   string
	b      strings.Builder
	column int
}

func newTagWriter(name string) *tagWriter {
	return &tagWriter{name: name, column: len(name) + len(":")}
}

// begin writes a space, or a fold if n more octets would not fit on the line.
func (w *tagWriter) begin(n int) {
	if w.column+len(" ")+n > foldAt {
		w.b.WriteString(fold)
		w.column = tabWidth
		return
	}
	w.b.WriteByte(' ')
	w.column++
}

func (w *tagWriter) text(s string) {
	w.b.WriteString(s)
	w.column += len(s)
}

// tag writes a tag on one line.
func (w *tagWriter) tag(name, value string) {
	s := name + "=" + value + ";"
	w.begin(len(s))
	w.text(s)
}

// list writes a tag with a colon-separated list, folding after colons.
func (w *tagWriter) list(name string, items []string) {
	for i, item := range items {
		s := item + ":"
		if i == len(items)-1 {
			s = item + ";"
		}
		if i == 0 {
			s = name + "=" + s
			w.begin(len(s))
		} else if w.column+len(s) > foldAt {
			w.b.WriteString(fold)
			w.column = tabWidth
		}
		w.text(s)
	}
}

// base64 writes a tag with binary data that fits on one line.
func (w *tagWriter) base64(name string, data []byte) {
	w.tag(name, base64.StdEncoding.EncodeToString(data))
}

// unsigned ends the list with an empty b= tag.
func (w *tagWriter) unsigned() message.Field {
	w.b.WriteString(fold + "b=")
	w.column = tabWidth + len("b=")
	return message.Field{Name: w.name, Raw: w.b.String()}
}

// sign fills in the empty b= tag at the end of the list.
func (w *tagWriter) sign(key *dkim.PrivateKey, digest []byte) (message.Field, error) {
	value, err := key.SignDigest(digest)
	if err != nil {
		return message.Field{}, fmt.Errorf("%s: %w", w.name, err)
	}
	for text := base64.StdEncoding.EncodeToString(value); text != ""; {
		n := min(len(text), foldAt-w.column)
		w.text(text[:n])
		if text = text[n:]; text != "" {
			w.b.WriteString(fold)
			w.column = tabWidth
		}
	}
	return message.Field{Name: w.name, Raw: w.b.String()}, nil
}
