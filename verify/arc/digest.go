package arc

import (
	"crypto/sha256"
	"hash"

	"authmilter/verify/message"
)

// sealDigest is the digest of a growing chain: the fields of its sets in relaxed
// form (RFC 8617 section 4.1.3), oldest set first. What each seal signs is computed
// along the way, so that the cost of all seals is linear in the length of the chain.
type sealDigest struct {
	state hash.Cloner
	buf   []byte
}

func newSealDigest() *sealDigest {
	return &sealDigest{state: sha256.New().(hash.Cloner)}
}

// add adds a field.
func (d *sealDigest) add(f message.Field) {
	d.buf = message.Relaxed.AppendField(d.buf[:0], f)
	d.state.Write(d.buf)
}

// sum returns the digest of the fields added so far and of a seal without its
// signature, which it does not add. As in any signature, the seal is hashed without
// its final CRLF (RFC 6376 section 3.7).
func (d *sealDigest) sum(unsigned message.Field) []byte {
	state, err := d.state.Clone()
	if err != nil {
		panic(err) // SHA-256 can always be cloned
	}
	d.buf = message.Relaxed.AppendField(d.buf[:0], unsigned)
	state.Write(d.buf[:len(d.buf)-len("\r\n")])
	return state.Sum(nil)
}
