package message

import (
	"crypto"
	_ "crypto/sha256" // the hash of every algorithm that RFC 8301 and RFC 8463 leave in use
	"errors"
	"math"
	"slices"
)

// WholeBody is the Length of a [Digest] of the whole body.
const WholeBody = -1

// Digest names one digest of a message body: that of the first Length octets
// of its canonical form (the l= tag of RFC 6376 section 3.5), or of all of it
// where Length is [WholeBody]. A Length of 0 is a digest of nothing.
type Digest struct {
	Canon  Canon
	Hash   crypto.Hash
	Length int64
}

// ErrBodyEnded is returned for a write to a [Body] that has been summed.
var ErrBodyEnded = errors.New("write after the end of the body")

// Body computes digests of one message body in one pass over its octets, as
// RFC 6376 sections 3.4.3 and 3.4.4 canonicalize them. It holds none of the
// body: its memory is constant for a number of digests.
//
// First [Body.Want] says which digests are needed, then [Body.Write] takes the
// body in pieces of any size, then [Body.Sum] and [Body.Length] answer; the
// first call of either ends the body. The zero Body is ready for use. It is not
// safe for concurrent use.
//
// Only CRLF ends a line. A lone CR or a lone LF is an octet like any other: it
// is never read as a line end and never repaired, because a verifier that
// repairs sees another message than the one its readers see.
type Body struct {
	size    int64
	begun   bool
	ended   bool
	streams [canons]stream
}

// Want asks for digest d. It must come before the first Write, and d.Hash must
// be linked into the program; a breach of either is a mistake of the program
// and panics. Asking twice for the same digest costs nothing.
func (b *Body) Want(d Digest) {
	if b.begun || b.ended {
		panic("message: digest wanted after the body began")
	}
	b.streams[d.Canon].want(d)
}

// Wanted tells whether any digest still depends on octets to come. Once it is
// false, the rest of the body may be left unwritten: every digest is known, and
// so is for each of them whether the body is longer than its Length.
func (b *Body) Wanted() bool {
	for i := range b.streams {
		if b.streams[i].open() {
			return true
		}
	}
	return false
}

// Write adds p to the body. It never fails before the body has ended and keeps
// nothing of p.
func (b *Body) Write(p []byte) (int, error) {
	if b.ended {
		return 0, ErrBodyEnded
	}
	if len(p) == 0 {
		return 0, nil
	}
	b.begun = true
	b.size += int64(len(p))
	if s := &b.streams[Simple]; s.open() {
		s.trim(p)
	}
	if s := &b.streams[Relaxed]; s.open() {
		s.reduce(p)
	}
	return len(p), nil
}

// Sum ends the body and returns digest d of it, or nil where d was not wanted.
// Where the canonical body is shorter than d.Length, that is the digest of all
// of it: compare with [Body.Length]. The slice returned must not be changed.
func (b *Body) Sum(d Digest) []byte {
	b.end()
	return b.streams[d.Canon].sum(d)
}

// Length ends the body and returns the number of octets of its canonical form,
// or -1 where no digest of canonicalization c was wanted. It is exact where a
// digest of [WholeBody] was among them. Otherwise it may fall short, but never
// so far that it is not greater than a wanted Length that the body exceeds.
func (b *Body) Length(c Canon) int64 {
	b.end()
	s := &b.streams[c]
	if len(s.hashes) == 0 {
		return -1
	}
	return s.length
}

// Size returns the number of octets written, before canonicalization.
func (b *Body) Size() int64 { return b.size }

func (b *Body) end() {
	if b.ended {
		return
	}
	b.ended = true
	if s := &b.streams[Simple]; s.open() {
		s.endTrim(Simple)
	}
	if s := &b.streams[Relaxed]; s.open() {
		s.endReduce()
	}
	for i := range b.streams {
		b.streams[i].end()
	}
}

// stream is the body in one canonicalization and the hashes of it.
type stream struct {
	// length is the number of canonical octets so far.
	length int64
	// limit is the greatest Length wanted, math.MaxInt64 for the whole body. A
	// length greater than limit says that every smaller one is exceeded too.
	limit  int64
	hashes []runningHash
	canonState
}

// open tells whether octets to come can change a digest, or can tell whether
// the body is longer than a Length.
func (s *stream) open() bool { return len(s.hashes) > 0 && s.length <= s.limit }

func (s *stream) want(d Digest) {
	if d.Length < 0 {
		d.Length = math.MaxInt64
	}
	s.limit = max(s.limit, d.Length)
	if d.Canon == Relaxed && s.held == nil {
		s.held = make([]byte, 0, heldSize)
	}
	for i := range s.hashes {
		if s.hashes[i].hash == d.Hash {
			s.hashes[i].want(d.Length)
			return
		}
	}
	s.hashes = append(s.hashes, newRunningHash(d))
}

// emit takes the next octets of the canonical body.
func (s *stream) emit(p []byte) {
	for i := range s.hashes {
		s.hashes[i].write(p, s.length)
	}
	s.length += int64(len(p))
}

func (s *stream) end() {
	for i := range s.hashes {
		s.hashes[i].end()
	}
}

func (s *stream) sum(d Digest) []byte {
	if d.Length < 0 {
		d.Length = math.MaxInt64
	}
	for i := range s.hashes {
		if s.hashes[i].hash != d.Hash {
			continue
		}
		for _, mark := range s.hashes[i].marks {
			if mark.length == d.Length {
				return mark.sum
			}
		}
	}
	return nil
}

// runningHash is one hash function over a canonical body. All lengths wanted
// share it, because the sum at a length can be taken in passing.
type runningHash struct {
	hash  crypto.Hash
	state interface {
		Write(p []byte) (int, error)
		Sum(b []byte) []byte
	}
	// marks are the lengths wanted, ascending; those before done have their sum.
	marks []mark
	done  int
}

type mark struct {
	length int64
	sum    []byte
}

func newRunningHash(d Digest) runningHash {
	return runningHash{hash: d.Hash, state: d.Hash.New(), marks: []mark{{length: d.Length}}}
}

func (h *runningHash) want(length int64) {
	at, found := slices.BinarySearchFunc(h.marks, length, func(m mark, l int64) int {
		switch {
		case m.length < l:
			return -1
		case m.length > l:
			return 1
		}
		return 0
	})
	if !found {
		h.marks = slices.Insert(h.marks, at, mark{length: length})
	}
}

// write adds p, which begins at offset at of the canonical body.
func (h *runningHash) write(p []byte, at int64) {
	for h.done < len(h.marks) && h.marks[h.done].length-at <= int64(len(p)) {
		n := h.marks[h.done].length - at
		h.state.Write(p[:n])
		p, at = p[n:], at+n
		h.marks[h.done].sum = h.state.Sum(nil)
		h.done++
	}
	if h.done < len(h.marks) {
		h.state.Write(p)
	}
}

// end gives the marks that the body did not reach the sum of all of it.
func (h *runningHash) end() {
	for ; h.done < len(h.marks); h.done++ {
		h.marks[h.done].sum = h.state.Sum(nil)
	}
}
