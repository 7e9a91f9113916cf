package milter

import (
	"crypto"
	"errors"
	"fmt"

	"authmilter/verify/domain"
	"authmilter/verify/message"
)

// SigningKey signs our own mail from one author domain, and from its subdomains
// that have no key of their own.
type SigningKey struct {
	// Domain and Selector are where the key is published, as [domain.ToASCII]
	// returns them.
	Domain, Selector string
	// Signer is an RSA or an Ed25519 key.
	Signer crypto.Signer
}

// Reasons not to sign a message.
var (
	errNoSigningKey = errors.New("no key for the author domain")
	errNoAuthor     = errors.New("not exactly one author domain")
)

// beginSigning begins the signatures of the message with header h, by the keys for
// its only author domain. An error is why the message is not signed. Otherwise the
// caller must call finish or cancel.
func beginSigning(keys []SigningKey, h message.Header) (*signing, error) {
	author, err := onlyAuthor(h)
	if err != nil {
		return nil, err
	}
	chosen := keysFor(keys, author)
	if len(chosen) == 0 {
		return nil, errNoSigningKey
	}
	if h.LongLine() {
		return nil, message.ErrLongLine
	}
	return openSigning(author, chosen, h)
}

// onlyAuthor returns the only domain that any reader of a message with header h
// could regard as its author's. From may be malformed otherwise: the signature
// covers it as it is.
func onlyAuthor(h message.Header) (string, error) {
	a := h.Author()
	odd := errors.Is(a.Err, message.ErrSeveralFrom) || errors.Is(a.Err, message.ErrFromName) || a.Unjudged()
	switch {
	case len(a.Domains) == 1 && !odd:
		return a.Domains[0], nil
	case a.Err != nil:
		return "", fmt.Errorf("%w: %w", errNoAuthor, a.Err)
	}
	return "", errNoAuthor
}

// keysFor returns the keys for an author domain: its own or, if it has none, the
// keys of its nearest parent. For DMARC a signature by a parent domain is just as
// good, unless the author domain publishes adkim=s (RFC 9989 section 4.4.1).
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
