package message

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
)

// canonState is what the canonicalization of a body must remember between two
// writes. The octets held back are implied, never stored.
type canonState struct {
	// lines is the number of CRLFs held back, because they may be the empty
	// lines at the end of the body, and cr a CR held back after them, because
	// an LF may follow.
	lines int64
	cr    bool

	// Of relaxed only, ahead of the above: space is white space held back,
	// because the end of the line may follow, and spaceCR a CR held back after
	// that white space.
	space   bool
	spaceCR bool
	// held gathers short pieces on their way from reduce to trim: one long
	// piece costs much less than many short ones, which is what text with much
	// white space to reduce comes to. It is empty between two writes.
	held []byte
}

// heldSize is the capacity of canonState.held.
const heldSize = 1024

// Octets to emit that are not a part of the input. They are read only.
var (
	crlfs = []byte(strings.Repeat("\r\n", 256))
	spCR  = []byte(" \r")
)

// trim passes p on without the empty lines at the end of the body
// (RFC 6376 sections 3.4.3 and 3.4.4 b). What it cannot decide yet is the end of
// p only, so that all before goes on as one piece.
func (s *stream) trim(p []byte) {
	if s.cr && len(p) > 0 {
		s.cr = false
		if p[0] == '\n' {
			s.lines++
			p = p[1:]
		} else {
			s.releaseLines()
			s.emit(spCR[1:])
		}
	}
	end := len(p)
	if end > 0 && p[end-1] == '\r' {
		s.cr = true
		end--
	}
	content := end
	for content > 1 && p[content-2] == '\r' && p[content-1] == '\n' {
		content -= 2
	}
	if content > 0 {
		s.releaseLines()
		s.emit(p[:content])
	}
	s.lines += int64(end-content) / 2
}

// releaseLines emits the CRLFs held back: content follows them.
func (s *stream) releaseLines() {
	for s.lines > 0 {
		n := min(s.lines, int64(len(crlfs)/2))
		s.emit(crlfs[:2*n])
		s.lines -= n
	}
}

// endTrim ends the body: its last line gets its CRLF, an empty one only in
// simple canonicalization (RFC 6376 sections 3.4.3 and 3.4.4 b).
func (s *stream) endTrim(c Canon) {
	if s.cr {
		s.releaseLines()
		s.emit(spCR[1:])
	}
	if s.length > 0 || c == Simple {
		s.emit(crlfs[:2])
	}
}

// reduce passes p on to trim with white space reduced (RFC 6376 section 3.4.4
// a): none at the end of a line, one SP for each other run. Stretches of p that
// stay as they are go on as one piece.
func (s *stream) reduce(p []byte) {
	defer s.release()
	p = s.resume(p)
	start := 0
	for i := 0; ; {
		run := nextRun(p, i)
		after := run + leadingSpace(p[run:])
		switch {
		case run == len(p):
			s.gather(p[start:])
			return
		case after == len(p):
			s.gather(p[start:run])
			s.space = true
			return
		case p[after] == '\r' && after+1 == len(p):
			s.gather(p[start:run])
			s.space, s.spaceCR = true, true
			return
		case p[after] == '\r' && p[after+1] == '\n':
			s.gather(p[start:run])
			start = after
		case p[after-1] == ' ':
			// The last SP of the run stands for all of it.
			if after-run > 1 {
				s.gather(p[start:run])
				start = after - 1
			}
		default:
			s.gather(p[start:run])
			s.gather(spCR[:1])
			start = after
		}
		i = after
	}
}

// resume decides on the white space held back, as far as p tells, and returns
// the rest of p.
func (s *stream) resume(p []byte) []byte {
	if !s.space {
		return p
	}
	if !s.spaceCR {
		p = p[leadingSpace(p):]
		if len(p) == 0 {
			return p
		}
		if p[0] != '\r' {
			s.space = false
			s.gather(spCR[:1])
			return p
		}
		p = p[1:]
		s.spaceCR = true
	}
	if len(p) == 0 {
		return p
	}
	s.space, s.spaceCR = false, false
	if p[0] == '\n' {
		s.gather(crlfs[:2])
		return p[1:]
	}
	s.gather(spCR)
	return p
}

// endReduce ends the body. White space held back ends its last line, which has
// no CRLF, and is dropped; before a lone CR it is not at the end.
func (s *stream) endReduce() {
	if s.spaceCR {
		s.trim(spCR)
	}
	s.endTrim(Relaxed)
}

// gather passes p on to trim, at the latest with release.
func (s *stream) gather(p []byte) {
	if len(s.held)+len(p) > cap(s.held) {
		s.release()
		if len(p) >= cap(s.held)/2 {
			s.trim(p)
			return
		}
	}
	s.held = append(s.held, p...)
}

func (s *stream) release() {
	s.trim(s.held)
	s.held = s.held[:0]
}

// leadingSpace returns the number of white space characters at the start of p.
func leadingSpace(p []byte) int {
	n := 0
	for n < len(p) && isWSP(p[n]) {
		n++
	}
	return n
}

// nextRun returns the position, i or later, of the first white space in p that
// may have to change: every HTAB, and an SP before an SP, an HTAB, a CR or the
// end of p. It returns len(p) where there is none. A single SP within a line,
// which is what most white space is, is passed over.
func nextRun(p []byte, i int) int {
	// Eight octets at a time, seven of them together with their successor.
	for calm := 0; i+8 <= len(p); i += 7 {
		word := binary.LittleEndian.Uint64(p[i:])
		sp, tab, cr := equal(word, ' '), equal(word, '\t'), equal(word, '\r')
		if hit := tab | sp&((sp|tab|cr)>>8); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		if calm++; sp != 0 {
			calm = 0
		}
		if calm == calmWords {
			calm = 0
			i = nextSpace(p, i+8) - 7
		}
	}
	for ; i < len(p); i++ {
		if p[i] == '\t' || p[i] == ' ' && (i+1 == len(p) || isWSP(p[i+1]) || p[i+1] == '\r') {
			return i
		}
	}
	return len(p)
}

// calmWords is after how many words without white space nextRun takes it that
// there is none for long, as in base64: more than text has.
const calmWords = 6

// nextSpace returns the position, i or later, of the first white space in p, or
// len(p). It is faster than nextRun where that is far away.
func nextSpace(p []byte, i int) int {
	// Piece by piece, so that the search for one of the two does not go far
	// beyond the other.
	const piece = 4 << 10
	for ; i < len(p); i += piece {
		part := p[i:min(i+piece, len(p))]
		sp := bytes.IndexByte(part, ' ')
		if sp >= 0 {
			part = part[:sp]
		}
		if tab := bytes.IndexByte(part, '\t'); tab >= 0 {
			return i + tab
		}
		if sp >= 0 {
			return i + sp
		}
	}
	return len(p)
}

// equal returns a word that has the top bit set of each octet of word that is
// b, and no other bit.
func equal(word uint64, b byte) uint64 {
	const (
		ones = 0x0101010101010101
		low  = 0x7f * ones
	)
	x := word ^ uint64(b)*ones
	// Adding low to the lower seven bits carries into the top bit unless they
	// are all zero, and never beyond it.
	return ^((x&low + low) | x | low)
}
