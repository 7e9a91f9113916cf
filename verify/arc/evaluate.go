package arc

import (
	"errors"
	"fmt"

	"authmilter/verify/dkim"
	"authmilter/verify/fault"
	"authmilter/verify/message"
)

// Verification verifies a chain. After [Begin], CheckHeader does everything that
// needs the header and DNS, and Result everything that needs the body.
type Verification struct {
	opts  dkim.Options
	in    *dkim.Input
	chain *Chain
	err   error
	// messages are the message signatures of the sets, oldest first. An entry is
	// nil if the signature cannot be verified.
	messages []*dkim.Verification
	// checked is set once CheckHeader has finished.
	checked bool
}

// Begin parses the chain of a message and requests the digests that the message
// signatures need from its body. It returns nil if there is no chain. The limits
// for keys are the same as for DKIM signatures.
func Begin(opts dkim.Options, in *dkim.Input) *Verification {
	chain, err := readChain(in.Header)
	if chain == nil {
		return nil
	}
	v := &Verification{opts: opts, in: in, chain: chain, err: err}
	newest := chain.Newest()
	if err == nil && newest.signatureErr != nil {
		v.err = v.messageError(newest, newest.signatureErr)
	}
	if v.err != nil {
		return v
	}
	v.messages = make([]*dkim.Verification, len(chain.Sets))
	for i := range chain.Sets {
		set := &chain.Sets[i]
		if set.signatureErr == nil {
			v.messages[i] = dkim.BeginOne(opts, in, set.at[messageSignature], set.MessageSignature)
		}
	}
	return v
}

// CheckHeader verifies everything that does not need the body: the newest message
// signature, every seal, and then the older message signatures, newest first
// (RFC 8617 section 5.2). It stops at the first failure, so all sets that their
// sender cannot sign cost one key and one signature together.
func (v *Verification) CheckHeader(keys Keys) {
	defer func() { v.checked = true }()
	if v.err != nil {
		return
	}
	newest := v.chain.Newest()
	if err := v.checkMessage(keys, newest); err != nil {
		v.err = v.messageError(newest, err)
		return
	}
	digests := sealDigests(v.in.Header, v.chain)
	for i := len(digests) - 1; i >= 0; i-- {
		seal := v.chain.Sets[i].Seal
		if err := v.checkSeal(keys, seal.Signature, digests[i]); err != nil {
			text := fmt.Sprintf("ARC-Seal i=%d of %s", i+1, seal.Domain)
			v.err = fault.New(Fail, reasonOf(err, ReasonSeal), text).Because(err)
			return
		}
	}
	for i := newest.Instance - 2; i >= 0; i-- {
		if v.checkMessage(keys, &v.chain.Sets[i]) != nil {
			return
		}
	}
}

// checkMessage verifies the message signature of a set, except for the body.
func (v *Verification) checkMessage(keys Keys, set *Set) error {
	m := v.messages[set.Instance-1]
	if m == nil {
		return set.signatureErr
	}
	if m.NeedsKey() {
		m.UseKeys(keys(nameOf(set.MessageSignature)))
	}
	return m.Err()
}

// checkSeal verifies the seal s, which signs digest.
func (v *Verification) checkSeal(keys Keys, s *dkim.Signature, digest []byte) error {
	published, err := keys(nameOf(s))
	if err != nil {
		return err
	}
	_, policy, err := v.opts.VerifyDigest(s, published, digest)
	if err == nil {
		err = policy
	}
	return err
}

// sealDigests returns the digest that each seal signs: the sets up to its own,
// without its own signature (RFC 8617 section 5.1.1).
func sealDigests(h message.Header, c *Chain) [][]byte {
	digests := make([][]byte, len(c.Sets))
	d := newSealDigest()
	for i := range c.Sets {
		set := &c.Sets[i]
		d.add(h[set.at[authResults]])
		d.add(h[set.at[messageSignature]])
		digests[i] = d.sum(set.Seal.Unsigned())
		d.add(h[set.at[seal]])
	}
	return digests
}

// Result ends the verification. Everything that body wanted must have been written
// to it. A nil Verification has the result [None].
func (v *Verification) Result(body *message.Body) Result {
	if v == nil {
		return Result{Status: None, OldestPass: Absent}
	}
	err := v.err
	if err == nil && !v.checked {
		err = errInterrupted
	}
	oldest := Absent
	if err == nil {
		oldest, err = v.checkBodies(body)
	}
	if err == nil {
		return Result{Status: Pass, Chain: v.chain, OldestPass: oldest}
	}
	r := Result{Status: Fail, Chain: v.chain, OldestPass: Absent, Err: err}
	if e, ok := errors.AsType[*Error](err); ok {
		return r.because(e)
	}
	return r
}

var errInterrupted = fault.New(Fail, ReasonDNS, "keys of the chain not available now: not looked up")

// checkBodies completes the message signatures, newest first. It returns the
// lowest instance down to which they verify, or 0 if all of them do.
func (v *Verification) checkBodies(body *message.Body) (oldest int, err error) {
	newest := v.chain.Newest()
	if r := v.messages[newest.Instance-1].Result(body); r.Status != dkim.Pass {
		return Absent, v.messageError(newest, r.Err)
	}
	for i := newest.Instance - 2; i >= 0; i-- {
		m := v.messages[i]
		if m == nil || m.Result(body).Status != dkim.Pass {
			return i + 2, nil
		}
	}
	return 0, nil
}

// messageError returns why the message signature of a set fails the chain.
func (v *Verification) messageError(set *Set, cause error) *Error {
	text := fmt.Sprintf("ARC-Message-Signature i=%d", set.Instance)
	if d := set.MessageSignature.Domain; d != "" {
		text += " of " + d
	}
	return fault.New(Fail, reasonOf(cause, ReasonMessageSignature), text).Because(cause)
}

// reasonOf returns [ReasonDNS] if err is temporary, otherwise other.
func reasonOf(err error, other Reason) Reason {
	if dkim.IsTemporary(err) {
		return ReasonDNS
	}
	return other
}
