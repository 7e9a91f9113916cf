package message

import (
	"crypto"
	_ "crypto/sha256" // the hash of every algorithm that RFC 8301 and RFC 8463 allow
	"errors"
	"math"
	"slices"
)

// WholeBody is the Length of a [Digest] of the whole body.
const WholeBody = -1

// Digest identifies one digest of a message body: of the first Length octets of its
// canonical form (the l= tag in RFC 6376 section 3.5), or of all of it if Length is
// [WholeBody]. A Length of 0 is a digest of nothing.
type Digest struct {
	Canon  Canon
	Hash   crypto.Hash
	Length int64
}

// ErrBodyEnded is returned for a write to a [Body] that has ended.
var ErrBodyEnded = errors.New("write after the end of the body")

// Body computes digests of one message body in one pass, with the canonicalization
// of RFC 6376 sections 3.4.3 and 3.4.4. It does not store the body: its memory
// depends only on the number of digests.
//
// First call [Body.Want] for each digest needed, then [Body.Write] with the body in
// pieces of any size, then [Body.Sum] and [Body.Length]. The first call of either
// ends the body. The zero Body is ready for use. It is not safe for concurrent use.
//
// Only CRLF ends a line. A lone CR or a lone LF is an octet like any other: it never
// ends a line and is never repaired, because a verifier that repairs a message
// checks one that differs from what readers see.
type Body struct {
	size    int64
	begun   bool
	ended   bool
	streams [canons]stream
}

// Want requests digest d. It panics if it is called after the first Write, or if
// d.Hash is not linked into the program. Requesting the same digest twice costs
// nothing.
func (b *Body) Want(d Digest) {
	if b.begun || b.ended {
		panic("message: digest wanted after the body began")
	}
	b.streams[d.Canon].want(d)
}

// Wanted reports whether any digest still depends on octets to come. Once it is
// false, the rest of the body need not be written: every digest is known, and so is
// whether the body is longer than its Length.
func (b *Body) Wanted() bool {
	for i := range b.streams {
		if b.streams[i].open() {
			return true
		}
	}
	return false
}

// Write adds p to the body. It never fails before the body has ended, and does not
// retain p.
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

// Sum ends the body and returns digest d of it, or nil if d was not requested. If
// the canonical body is shorter than d.Length, the digest is of all of it: compare
// with [Body.Length]. The slice returned must not be changed.
func (b *Body) Sum(d Digest) []byte {
	b.end()
	return b.streams[d.Canon].sum(d)
}

// Length ends the body and returns the number of octets in its canonical form, or
// -1 if no digest with canonicalization c was requested. It is exact if one of them
// was of [WholeBody]. Otherwise it may be too small, but it is always greater than
// each requested Length that the body exceeds.
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

// stream is the body in one canonicalization, with its hashes.
type stream struct {
	// length is the number of canonical octets so far.
	length int64
	// limit is the greatest Length wanted, math.MaxInt64 for the whole body. Once
	// length exceeds it, the body is longer than every Length wanted.
	limit  int64
	hashes []runningHash
	canonState
}

// open reports whether octets to come can change a digest, or show that the body is
// longer than a Length.
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

// runningHash is one hash function over a canonical body. All lengths wanted share
// it, because it can yield the sum at each length as it goes.
type runningHash struct {
	hash  crypto.Hash
	state interface {
		Write(p []byte) (int, error)
		Sum(b []byte) []byte
	}
	// marks holds the lengths wanted, ascending; marks[:done] have their sums.
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

// end sets the marks that the body did not reach to the sum of the whole body.
func (h *runningHash) end() {
	for ; h.done < len(h.marks); h.done++ {
		h.marks[h.done].sum = h.state.Sum(nil)
	}
}
