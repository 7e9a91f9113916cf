package message

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// MaxLine is the longest line of a message in octets, without its CRLF
// (RFC 5322 section 2.1.1). MTAs break longer lines when they pass a message on.
const MaxLine = 998

// ErrLongLine means that a message has a line over MaxLine octets: a signature of it
// would not survive.
var ErrLongLine = errors.New("line over 998 octets, which an MTA will break")

// LongLine reports whether h has a line over [MaxLine] octets.
func (h Header) LongLine() bool { return slices.ContainsFunc(h, Field.longLine) }

func (f Field) longLine() bool {
	room := MaxLine - len(f.Name) - len(":")
	if len(f.Raw) <= room {
		return false
	}
	for line := range strings.SplitSeq(f.Raw, "\r\n") {
		if len(line) > room {
			return true
		}
		room = MaxLine
	}
	return false
}

// LineMeter reports whether a body, written to it in pieces of any size, has a line
// over [MaxLine] octets. As in [Body], only CRLF ends a line. The zero LineMeter is
// ready for use.
type LineMeter struct {
	// octets is the length of the current line so far. cr is set if it ends in a
	// CR, which may be the first half of its CRLF.
	octets int
	cr     bool
	long   bool
}

// lineRoom is the space for one line with its CRLF.
const lineRoom = MaxLine + len("\r\n")

// Write adds p to the body. It looks for the last line end within the longest line
// that may begin at each place, and not for every line end: so it reads only a small
// part of p.
func (m *LineMeter) Write(p []byte) {
	for len(p) > 0 && !m.long {
		if m.cr && p[0] == '\n' {
			m.octets, m.cr, p = 0, false, p[1:]
			continue
		}
		room := p[:min(len(p), lineRoom-m.octets)]
		if end := lastLineEnd(room); end > 0 {
			m.octets, m.cr, p = 0, false, p[end:]
			continue
		}
		m.octets += len(room)
		m.cr = room[len(room)-1] == '\r'
		m.long = m.octets == lineRoom
		p = p[len(room):]
	}
}

// Long reports whether a line was too long.
func (m *LineMeter) Long() bool {
	octets := m.octets
	if m.cr {
		octets--
	}
	return m.long || octets > MaxLine
}

// lastLineEnd returns the position after the last CRLF in p, or 0 if there is none.
func lastLineEnd(p []byte) int {
	for at := bytes.LastIndexByte(p, '\n'); at > 0; at = bytes.LastIndexByte(p[:at], '\n') {
		if p[at-1] == '\r' {
			return at + 1
		}
	}
	return 0
}
