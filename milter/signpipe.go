package milter

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// Our own mail is signed by go-msgauth. Its signer is the reading end of a pipe, in
// a goroutine of its own. That is why everything in this file is needed:
//
//   - The goroutine ends only when the pipe is closed. Whatever happens to a
//     message, finish or cancel closes each signer.
//   - Closing a signer makes it sign what has arrived, even if the message was
//     abandoned. So its key is guarded: it signs nothing once there is an error.
//   - A panic in the goroutine ends the process. The guard recovers a panic of the
//     key, and finish raises it again in the goroutine that handles the message.
//   - The signer parses headers and bodies more loosely than verifiers do. So it
//     gets the fields in canonical form, and bodies that it would sign wrongly are
//     refused.
//   - The signer has no bounds on the length of h=, on the folds of a field, or on
//     the empty lines that it holds back. They are enforced here.

// Reasons not to pass a message to go-msgauth.
var (
	errUnsignable = errors.New("a line end in the message is not CRLF; no signature would survive")
	errManySigned = errors.New("too many fields to sign")
	errEmptyLines = errors.New("too many empty lines in a row")
	errNotWhole   = errors.New("the message did not arrive whole")
)

// signing makes the DKIM signatures of one message. Each is made by a goroutine of
// go-msgauth, which ends with finish or cancel.
type signing struct {
	// author is the author domain.
	author  string
	keys    []SigningKey
	signers []*msgauth.Signer // one for each key; nil once they are closed
	body    lineChecker
	lines   message.LineMeter
	// err is why the message will not be signed.
	err error
	// failure is a panic of a key.
	failure *verify.Panic
}

// openSigning opens a signer for each key and writes the header h to them.
func openSigning(author string, keys []SigningKey, h message.Header) (*signing, error) {
	names, text, err := headerToSign(h)
	if err != nil {
		return nil, err
	}
	s := &signing{author: author, keys: keys}
	begun := false
	defer func() {
		if !begun {
			s.cancel()
		}
	}()
	for _, k := range s.keys {
		signer, err := msgauth.NewSigner(&msgauth.SignOptions{
			Domain:                 k.Domain,
			Selector:               k.Selector,
			Signer:                 guardedKey{k.Signer, s},
			HeaderCanonicalization: msgauth.CanonicalizationRelaxed,
			BodyCanonicalization:   msgauth.CanonicalizationRelaxed,
			HeaderKeys:             names,
		})
		if err != nil {
			return nil, fmt.Errorf("selector %s of %s: %w", k.Selector, k.Domain, err)
		}
		s.signers = append(s.signers, signer)
	}
	s.pass(text)
	begun = true
	return s, nil
}

// maxSignedNames bounds the h= tag, in octets. go-msgauth writes it on one line,
// and MTAs break lines of more than 998 octets (RFC 5322 section 2.1.1), some even
// shorter ones.
const maxSignedNames = 900

// headerToSign returns the names for the h= tag, and the text of the fields that
// they name, followed by an empty line.
//
// The fields are already in canonical form. That is done once for all keys, and
// leaves nothing that go-msgauth could read differently from verifiers. There are no
// folds (at each one, go-msgauth would copy the field so far), and no names that only
// go-msgauth would match with one of ours.
func headerToSign(h message.Header) (names []string, text []byte, err error) {
	index := message.NewIndex(h)
	names, _ = dkim.Author.HeaderNames(index, len(h))
	// Every field of these names is selected, from the bottom up.
	selected := index.Select(names)
	slices.Sort(selected)
	for _, i := range selected {
		if i < 0 {
			continue
		}
		start := len(text)
		text = message.Relaxed.AppendField(text, h[i])
		// Only folds can break a field, and they are gone now.
		if bytes.ContainsAny(text[start:len(text)-len("\r\n")], "\r\n") {
			return nil, nil, errUnsignable
		}
	}
	length := 0
	for _, name := range names {
		length += len(name) + len(":")
	}
	if length > maxSignedNames {
		return nil, nil, errManySigned
	}
	return names, append(text, "\r\n"...), nil
}

// write adds the next octets of the body.
func (s *signing) write(p []byte) {
	if s.err == nil {
		s.err = s.body.check(p)
	}
	if s.lines.Write(p); s.err == nil && s.lines.Long() {
		s.err = message.ErrLongLine
	}
	if s.err == nil {
		s.pass(p)
	}
}

// pass writes p to every signer, each of which takes it at once.
func (s *signing) pass(p []byte) {
	for _, signer := range s.signers {
		if _, err := signer.Write(p); err != nil && s.err == nil {
			s.err = err
		}
	}
}

// finish returns the signature fields, one for each key, or an error. If a key
// panicked, finish panics with a *[verify.Panic].
func (s *signing) finish() ([]message.Field, error) {
	if s.err == nil {
		s.err = s.body.end()
	}
	signers := s.close()
	if s.failure != nil {
		panic(s.failure)
	}
	if s.err != nil {
		return nil, s.err
	}
	var fields []message.Field
	for _, signer := range signers {
		name, value, _ := strings.Cut(signer.Signature(), ":")
		fields = append(fields, message.Field{Name: name, Raw: strings.TrimSuffix(value, "\r\n")})
	}
	return fields, nil
}

// cancel abandons the signatures. After finish it has no effect.
func (s *signing) cancel() {
	if s.err == nil {
		s.err = errNotWhole
	}
	s.close()
}

// close closes the signers and returns them. If s.err is set, none of them uses its
// key.
func (s *signing) close() []*msgauth.Signer {
	signers := s.signers
	s.signers = nil
	for _, signer := range signers {
		// Each must be closed, even if closing another failed.
		if err := signer.Close(); err != nil && s.err == nil {
			s.err = err
		}
	}
	return signers
}

// guardedKey wraps a key for go-msgauth. Without it, go-msgauth would sign what has
// arrived of an abandoned message, and a panic of the key would end the process.
type guardedKey struct {
	crypto.Signer
	message *signing
}

// Sign is called in the signer's goroutine, while close waits for it.
func (k guardedKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			k.message.failure = &verify.Panic{Value: v, Stack: debug.Stack()}
			signature, err = nil, errInternal
		}
	}()
	if k.message.err != nil {
		return nil, k.message.err
	}
	return k.Signer.Sign(random, digest, opts)
}

// maxEmptyLines bounds the empty lines in a row, including lines of white space:
// go-msgauth keeps their line ends until it knows whether text follows.
const maxEmptyLines = 10_000

// lineChecker finds what go-msgauth would sign wrongly in a body. go-msgauth treats
// a lone CR or LF as a line end, and verifiers do not (RFC 6376 section 2.8).
type lineChecker struct {
	cr    bool // the last octet was a CR
	text  bool // the current line has text so far
	empty int  // how many empty lines precede it
}

// check checks the next octets of the body.
func (c *lineChecker) check(p []byte) error {
	for len(p) > 0 {
		if c.cr {
			if p[0] != '\n' {
				return errUnsignable
			}
			if c.text {
				c.empty = 0
			} else if c.empty++; c.empty > maxEmptyLines {
				return errEmptyLines
			}
			c.cr, c.text = false, false
			p = p[1:]
			continue
		}
		line, rest, found := bytes.Cut(p, []byte("\r"))
		if bytes.IndexByte(line, '\n') >= 0 {
			return errUnsignable
		}
		c.cr = found
		c.text = c.text || len(bytes.TrimLeft(line, " \t")) > 0
		p = rest
	}
	return nil
}

// end checks the end of the body.
func (c *lineChecker) end() error {
	if c.cr {
		return errUnsignable
	}
	return nil
}
