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
	author := h.Author()
	switch {
	case author.Err != nil:
		return nil, fmt.Errorf("%w: %w", errNoAuthor, author.Err)
	case len(author.Domains) != 1:
		return nil, errNoAuthor
	}
	chosen := keysFor(keys, author.Domains[0])
	if len(chosen) == 0 {
		return nil, errNoSigningKey
	}
	return openSigning(author.Domains[0], chosen, h)
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
