package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// Limits bound the header that [ReadHeader] reads.
type Limits struct {
	// Bytes is the greatest number of octets, with line ends.
	Bytes int
	// Fields is the greatest number of fields.
	Fields int
}

// ErrHeaderBounds is returned for a header beyond its [Limits].
var ErrHeaderBounds = errors.New("header too large")

// ReadHeader reads the header of a message as it stands in a file, and returns
// it with a reader of the body. Both have CRLF line ends.
//
// The first line tells how the lines of the file end. Where it ends in LF, as
// files of mail usually do, each LF that does not follow a CR is a line end and
// becomes CRLF, which is what an MTA does when it sends the file. Where it ends
// in CRLF, the octets are taken as they are, and a lone LF ends no line. A lone
// CR never does.
//
// A first line that begins with "From ", the separator of the mbox format, is
// left out. An empty line ends the header. So does a line that is no field and
// continues none: as with Postfix and Sendmail, it is the first of the body.
//
// The error is [ErrHeaderBounds] or that of r.
func ReadHeader(r *bufio.Reader, limits Limits) (Header, io.Reader, error) {
	h := headerReader{src: &lineReader{src: r}, limits: limits}
	rest, err := h.read()
	if err != nil {
		return nil, nil, err
	}
	return h.header(), io.MultiReader(strings.NewReader(rest), h.src), nil
}

// headerReader gathers the octets of a header and where its fields are.
type headerReader struct {
	src    *lineReader
	limits Limits
	// text is all lines of the header, each with its CRLF.
	text   []byte
	fields []span
}

// span is where a field is: its name, its colon and its last octet but for the
// line end.
type span struct{ start, colon, end int }

// read reads the header and returns what it read of the body.
func (h *headerReader) read() (body string, err error) {
	for first := true; ; first = false {
		start := len(h.text)
		more, err := h.readLine()
		if err != nil {
			return "", err
		}
		line := h.text[start:]
		content := bytes.TrimSuffix(line, []byte("\r\n"))
		colon := colonAfterName(content)
		switch {
		case len(content) == 0:
			h.text = h.text[:start]
			return "", nil
		case isWSP(content[0]) && len(h.fields) > 0:
			h.fields[len(h.fields)-1].end = start + len(content)
		case colon > 0:
			if len(h.fields) == h.limits.Fields {
				return "", ErrHeaderBounds
			}
			h.fields = append(h.fields, span{start, start + colon, start + len(content)})
		case first && bytes.HasPrefix(content, []byte("From ")):
			h.text = h.text[:start]
		default:
			h.text = h.text[:start]
			return string(line), nil
		}
		if !more {
			return "", nil
		}
	}
}

// readLine adds a line to the text. It tells whether there may be more.
func (h *headerReader) readLine() (more bool, err error) {
	for {
		piece, err := h.src.next()
		h.text = append(h.text, piece...)
		switch {
		case len(h.text) > h.limits.Bytes:
			return false, ErrHeaderBounds
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		case bytes.HasSuffix(h.text, []byte("\r\n")):
			return true, nil
		}
	}
}

// header returns the fields read.
func (h *headerReader) header() Header {
	text := string(h.text)
	header := make(Header, len(h.fields))
	for i, f := range h.fields {
		header[i] = Field{Name: text[f.start:f.colon], Raw: text[f.colon+1 : f.end]}
	}
	return header
}

// colonAfterName returns the position of the colon in line where it begins a
// field, or -1. A name is any text without white space and control characters
// (RFC 5322 section 2.2; octets beyond ASCII are taken too, lest a field that
// others see be overlooked here), perhaps with white space behind it
// (section 4.5).
func colonAfterName(line []byte) int {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return -1
	}
	name := bytes.TrimRight(line[:colon], " \t")
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return -1
		}
	}
	if len(name) == 0 {
		return -1
	}
	return colon
}

// lineReader reads text with CRLF line ends: where the first line of src ends
// in LF, each LF that does not follow a CR becomes CRLF.
type lineReader struct {
	src *bufio.Reader
	// mode is what the first line end tells.
	mode lineEnd
	// last is the last octet of src that was read.
	last byte
	// pending is what next returned and Read did not pass on yet.
	pending []byte
	err     error
}

type lineEnd uint8

const (
	endUnknown lineEnd = iota
	endLF
	endCRLF
)

// next returns the next piece of text, which is valid until the next call. It
// holds at most one line end, at its end. After an error it returns that error
// again.
func (l *lineReader) next() ([]byte, error) {
	if l.err != nil {
		return nil, l.err
	}
	piece, err := l.src.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull {
		l.err = err
	}
	if len(piece) == 0 {
		return nil, l.err
	}
	before := l.last
	if len(piece) > 1 {
		before = piece[len(piece)-2]
	}
	l.last = piece[len(piece)-1]
	if l.last != '\n' {
		return piece, l.err
	}
	if l.mode == endUnknown {
		l.mode = endLF
		if before == '\r' {
			l.mode = endCRLF
		}
	}
	if l.mode == endLF && before != '\r' {
		// A copy: the octet behind piece is not ours.
		piece = append(piece[:len(piece)-1:len(piece)-1], '\r', '\n')
	}
	return piece, l.err
}

// Read implements [io.Reader].
func (l *lineReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(l.pending) == 0 {
		var err error
		if l.pending, err = l.next(); len(l.pending) == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(p, l.pending)
	l.pending = l.pending[n:]
	return n, nil
}
