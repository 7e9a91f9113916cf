package milter

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/dkim"

	"authmilter/verify/domain"
	"authmilter/verify/message"
)

// SigningKey signs own mail of one author domain, and of its subdomains that
// have no key of their own.
type SigningKey struct {
	// Domain and Selector say where the key is published.
	Domain, Selector string
	// Signer is an RSA or an Ed25519 key.
	Signer crypto.Signer
}

// Reasons not to sign a message.
var (
	errNoSigningKey = errors.New("no key for the author domain")
	errNoAuthor     = errors.New("not exactly one author domain")
	errUnsignable   = errors.New("a line end in the message is not CRLF: no signature would survive it")
	errFieldName    = errors.New("a field name in the message is malformed")
)

// oversigned are the fields of which a message has one at most and that say who
// it is from and what it is: each is signed once more than it is there, so that
// none can be added (RFC 6376 section 8.15).
var oversigned = []string{
	"From", "To", "Cc", "Subject", "Date", "Message-ID",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// signedOnce are fields that are signed where they are there (RFC 6376 section
// 5.4.1), but that a mailing list or a resender may add.
var signedOnce = []string{
	"Sender", "Reply-To", "In-Reply-To", "References", "Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
	"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
}

// maxSignedFields bounds how many fields of one name are signed.
const maxSignedFields = 5

// signing is the DKIM signatures of one message on their way.
type signing struct {
	keys    []SigningKey
	signers []*dkim.Signer
	// last is the last octet of the body so far, which tells a lone LF.
	last byte
	err  error
}

// keysFor returns the keys for an author domain: those of the nearest domain
// that is it or above it.
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

// beginSigning begins the signatures of the message with header h. An error is
// why it is not signed. Finish or cancel must follow.
func beginSigning(keys []SigningKey, h message.Header) (*signing, error) {
	author := h.Author()
	if author.Err != nil || len(author.Domains) != 1 {
		return nil, errNoAuthor
	}
	name, err := domain.ToASCII(author.Domains[0])
	if err != nil {
		return nil, errNoAuthor
	}
	s := &signing{keys: keysFor(keys, name)}
	if len(s.keys) == 0 {
		return nil, errNoSigningKey
	}
	text, err := headerText(h)
	if err != nil {
		return nil, err
	}
	fields := fieldsToSign(h)
	for _, k := range s.keys {
		signer, err := dkim.NewSigner(&dkim.SignOptions{
			Domain:                 k.Domain,
			Selector:               k.Selector,
			Signer:                 k.Signer,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed,
			BodyCanonicalization:   dkim.CanonicalizationRelaxed,
			HeaderKeys:             fields,
		})
		if err != nil {
			s.cancel()
			return nil, fmt.Errorf("selector %s of %s: %w", k.Selector, k.Domain, err)
		}
		s.signers = append(s.signers, signer)
	}
	s.pass(text)
	return s, nil
}

// headerText returns a header as it travels, with the empty line after it. It
// refuses what the signer would read differently than those who verify.
func headerText(h message.Header) ([]byte, error) {
	var b bytes.Buffer
	for _, f := range h {
		name := strings.TrimRight(f.Name, " \t")
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
			return nil, errFieldName
		}
		for i := 0; i < len(f.Raw); i++ {
			// Only a fold may break a field.
			fold := f.Raw[i] == '\r' && i+2 < len(f.Raw) && f.Raw[i+1] == '\n' && (f.Raw[i+2] == ' ' || f.Raw[i+2] == '\t')
			switch {
			case fold:
				i++
			case f.Raw[i] == '\r' || f.Raw[i] == '\n':
				return nil, errUnsignable
			}
		}
		b.WriteString(f.Name)
		b.WriteByte(':')
		b.WriteString(f.Raw)
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes(), nil
}

// fieldsToSign returns the h= tag.
func fieldsToSign(h message.Header) []string {
	var names []string
	for _, name := range oversigned {
		for range min(count(h, name), maxSignedFields) + 1 {
			names = append(names, name)
		}
	}
	for _, name := range signedOnce {
		for range min(count(h, name), maxSignedFields) {
			names = append(names, name)
		}
	}
	return names
}

func count(h message.Header, name string) int {
	n := 0
	name = strings.ToLower(name)
	for _, f := range h {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// write takes the next octets of the body.
func (s *signing) write(p []byte) {
	if s.err != nil || len(p) == 0 {
		return
	}
	// The signer would take a lone LF for a line end, and those who verify do
	// not (RFC 6376 section 2.8).
	if s.loneLineEnd(p) {
		s.err = errUnsignable
		return
	}
	s.pass(p)
}

// loneLineEnd tells whether p, the next octets of the body, brings a CR or a LF
// without the other.
func (s *signing) loneLineEnd(p []byte) bool {
	cr := s.last == '\r'
	s.last = p[len(p)-1]
	if cr {
		if p[0] != '\n' {
			return true
		}
		p = p[1:]
	}
	for {
		i := bytes.IndexAny(p, "\r\n")
		switch {
		case i < 0:
			return false
		case p[i] == '\n':
			return true
		case i+1 == len(p): // the next octets tell
			return false
		case p[i+1] != '\n':
			return true
		}
		p = p[i+2:]
	}
}

// pass writes p to every signer.
func (s *signing) pass(p []byte) {
	for _, signer := range s.signers {
		if _, err := signer.Write(p); err != nil && s.err == nil {
			s.err = err
		}
	}
}

// finish returns the signature fields.
func (s *signing) finish() ([]message.Field, error) {
	if s.last == '\r' && s.err == nil {
		s.err = errUnsignable
	}
	signers := s.signers
	s.signers = nil
	for _, signer := range signers {
		// Each must be closed, whatever became of the one before.
		if err := signer.Close(); err != nil && s.err == nil {
			s.err = err
		}
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
	signers := s.signers
	s.signers = nil
	for _, signer := range signers {
		_ = signer.Close() // that the message is not whole is known
	}
}
