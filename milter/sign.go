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

	"github.com/emersion/go-msgauth/dkim"

	"authmilter/verify"
	"authmilter/verify/domain"
	"authmilter/verify/message"
)

// SigningKey signs own mail of one author domain, and of its subdomains that
// have no key of their own.
type SigningKey struct {
	// Domain and Selector say where the key is published, as [domain.ToASCII]
	// returns them.
	Domain, Selector string
	// Signer is an RSA or an Ed25519 key.
	Signer crypto.Signer
}

// Reasons not to sign a message.
var (
	errNoSigningKey = errors.New("no key for the author domain")
	errNoAuthor     = errors.New("not exactly one author domain")
	errUnsignable   = errors.New("a line end in the message is not CRLF: no signature would survive it")
	errManySigned   = errors.New("too many fields to sign")
	errEmptyLines   = errors.New("too many empty lines in a row")
	errNotWhole     = errors.New("the message did not arrive whole")
)

// signing is the DKIM signatures of one message on their way. Each is made by a
// goroutine of go-msgauth, which ends with finish or cancel.
type signing struct {
	// author is the author domain.
	author  string
	keys    []SigningKey
	signers []*dkim.Signer // one for each key; nil once they have ended
	body    lineChecker
	// err is why there will be no signature.
	err error
	// failure is the panic of a key.
	failure *verify.Panic
}

// beginSigning begins the signatures of the message with header h. An error is
// why it is not signed. Finish or cancel must follow.
func beginSigning(keys []SigningKey, h message.Header) (*signing, error) {
	author := h.Author()
	switch {
	case author.Err != nil:
		return nil, fmt.Errorf("%w: %w", errNoAuthor, author.Err)
	case len(author.Domains) != 1:
		return nil, errNoAuthor
	}
	s := &signing{author: author.Domains[0], keys: keysFor(keys, author.Domains[0])}
	if len(s.keys) == 0 {
		return nil, errNoSigningKey
	}
	names, text, err := headerToSign(h)
	if err != nil {
		return nil, err
	}
	begun := false
	defer func() {
		if !begun {
			s.cancel()
		}
	}()
	for _, k := range s.keys {
		signer, err := dkim.NewSigner(&dkim.SignOptions{
			Domain:                 k.Domain,
			Selector:               k.Selector,
			Signer:                 guardedKey{k.Signer, s},
			HeaderCanonicalization: dkim.CanonicalizationRelaxed,
			BodyCanonicalization:   dkim.CanonicalizationRelaxed,
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

// keysFor returns the keys for an author domain: those of the nearest domain
// that is it or above it. For DMARC the signature of a parent domain is as good
// as one of its own, unless it publishes adkim=s (RFC 9989 section 4.4.1).
func keysFor(keys []SigningKey, author string) []SigningKey {
	var chosen []SigningKey
	for _, k := range keys {
		switch {
		case !domain.IsSubdomain(author, k.Domain):
		case len(chosen) == 0 || len(k.Domain) > len(chosen[0].Domain):
			chosen = []SigningKey{k}
		case k.Domain == chosen[0].Domain:
			chosen = append(chosen, k)
		}
	}
	return chosen
}

// write takes the next octets of the body.
func (s *signing) write(p []byte) {
	if s.err == nil {
		s.err = s.body.check(p)
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

// finish returns the signature fields, one for each key or none. It panics with
// a *[verify.Panic] where a key did.
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

// cancel ends the signatures without a result. It may follow finish.
func (s *signing) cancel() {
	if s.err == nil {
		s.err = errNotWhole
	}
	s.close()
}

// close ends the signers and returns them. With s.err set, none of them uses its
// key.
func (s *signing) close() []*dkim.Signer {
	signers := s.signers
	s.signers = nil
	for _, signer := range signers {
		// Each must be closed, whatever became of the one before.
		if err := signer.Close(); err != nil && s.err == nil {
			s.err = err
		}
	}
	return signers
}

// guardedKey is a key in the hands of go-msgauth, which would sign whatever has
// arrived when a message is given up, and lets a panic of the key end the
// process.
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

// cover says how often a field is listed in h=.
type cover uint8

const (
	// coverPresent lists a field as often as it is there.
	coverPresent cover = iota
	// coverOnce lists it once more if it is there, so that no other one can be
	// added (RFC 6376 section 5.4).
	coverOnce
	// coverAlways lists it once more also where it is absent.
	coverAlways
)

type signedField struct {
	name  string // in lower case
	cover cover
}

// signedFields are the fields that are signed: those of RFC 6376 section 5.4.1,
// the MIME fields and Sender (section 5.4), and Message-ID. Not among them are
// fields that others add, change or remove on the way (section 5.4: Return-Path,
// Received, Comments, Keywords; Authentication-Results, ARC sets, other
// signatures), and Bcc.
var signedFields = []signedField{
	// What readers show, and what decides how they read the body: a second one,
	// or one where there was none, makes another message of it (section 8.15).
	{"from", coverAlways},
	{"to", coverAlways},
	{"cc", coverAlways},
	{"subject", coverAlways},
	{"mime-version", coverAlways},
	{"content-type", coverAlways},
	{"content-transfer-encoding", coverAlways},
	// An MTA adds these where they are missing (RFC 6409 section 8), maybe after
	// milters have seen the message.
	{"date", coverOnce},
	{"message-id", coverOnce},
	// Mailing lists and resenders add these.
	{"sender", coverPresent},
	{"reply-to", coverPresent},
	{"in-reply-to", coverPresent},
	{"references", coverPresent},
	{"resent-date", coverPresent},
	{"resent-from", coverPresent},
	{"resent-sender", coverPresent},
	{"resent-to", coverPresent},
	{"resent-cc", coverPresent},
	{"resent-message-id", coverPresent},
	{"list-id", coverPresent},
	{"list-help", coverPresent},
	{"list-unsubscribe", coverPresent},
	{"list-unsubscribe-post", coverPresent}, // RFC 8058 section 4 wants it signed
	{"list-subscribe", coverPresent},
	{"list-post", coverPresent},
	{"list-owner", coverPresent},
	{"list-archive", coverPresent},
}

// maxSignedNames bounds the h= tag, in octets. go-msgauth writes it on one line,
// and MTAs break lines of more than 998 octets (RFC 5322 section 2.1.1), some
// shorter ones.
const maxSignedNames = 900

// headerToSign returns the names for the h= tag, and the fields that they name
// with the empty line behind them.
//
// The fields are canonical already. That is done once for all keys, and leaves
// nothing that go-msgauth could read in another way than those who verify: no
// fold, for each of which it copies the field so far, and no name that only it
// takes for one of ours.
func headerToSign(h message.Header) (names []string, text []byte, err error) {
	counts := make([]int, len(signedFields))
	for _, f := range h {
		i := slices.IndexFunc(signedFields, func(s signedField) bool { return f.Is(s.name) })
		if i < 0 {
			continue
		}
		counts[i]++
		start := len(text)
		text = message.Relaxed.AppendField(text, f)
		// Only a fold may break a field, and that is gone now.
		if bytes.ContainsAny(text[start:len(text)-len("\r\n")], "\r\n") {
			return nil, nil, errUnsignable
		}
	}
	length := 0
	for i, f := range signedFields {
		n := counts[i]
		if f.cover == coverAlways || f.cover == coverOnce && n > 0 {
			n++
		}
		if length += n * len(f.name+":"); length > maxSignedNames {
			return nil, nil, errManySigned
		}
		names = append(names, slices.Repeat([]string{f.name}, n)...)
	}
	return names, append(text, "\r\n"...), nil
}

// maxEmptyLines bounds the empty lines in a row, with white space or without:
// go-msgauth keeps their ends until it knows whether text follows.
const maxEmptyLines = 10_000

// lineChecker finds in a body what go-msgauth would sign wrongly. It takes a
// lone CR or LF for a line end, and verifiers do not
// (RFC 6376 section 2.8).
type lineChecker struct {
	cr    bool // the last octet was a CR
	text  bool // there is text in the line so far
	empty int  // how many empty lines are before it
}

// check takes the next octets of the body.
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

// end takes the end of the body.
func (c *lineChecker) end() error {
	if c.cr {
		return errUnsignable
	}
	return nil
}
