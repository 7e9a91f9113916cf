package dkim

import (
	"context"
	"crypto"
	"errors"

	"authmilter/verify/dns"
)

// Published is what a domain publishes about a key of ours.
type Published string

// What can be published.
const (
	PublishedOK        Published = "ok"
	PublishedAmbiguous Published = "ambiguous" // the key, and other keys at the same name
	PublishedMissing   Published = "missing"   // no record
	PublishedMismatch  Published = "mismatch"  // the record of another key
	PublishedUnusable  Published = "unusable"  // malformed, revoked, or not for mail
	PublishedUnknown   Published = "unknown"   // DNS gave no answer
)

// PublishedStates returns every Published.
func PublishedStates() []Published {
	return []Published{PublishedOK, PublishedAmbiguous, PublishedMissing, PublishedMismatch, PublishedUnusable, PublishedUnknown}
}

var (
	errAmbiguous = errors.New("several key records at one name, of which verifiers take any")
	errMissing   = errors.New("no key record")
	errMismatch  = errors.New("the key record is that of another key")
)

// CheckPublished tells whether domain publishes k for selector, for messages
// of domain itself. The error explains everything but PublishedOK.
func (k *PrivateKey) CheckPublished(ctx context.Context, r dns.Resolver, selector, domain string) (Published, error) {
	keys, err := LookupKeys(ctx, r, selector, domain)
	var e *Error
	switch {
	case errors.As(err, &e) && e.Status == TempError:
		return PublishedUnknown, err
	case errors.As(err, &e) && e.Reason == ReasonNoKey:
		return PublishedMissing, errMissing
	case err != nil:
		return PublishedUnusable, err
	}
	// i= is d= in all that we sign, so that the flag t=s is no obstacle.
	s := &Signature{KeyType: k.Type, Hash: crypto.SHA256, Domain: domain, IdentityDomain: domain}
	state, err := PublishedMismatch, errMismatch
	for _, key := range keys {
		if !k.matches(key) {
			continue
		}
		if unusable := s.allows(key); unusable != nil {
			state, err = PublishedUnusable, unusable
			continue
		}
		if len(keys) > 1 {
			// RFC 6376 section 3.6.2.2 leaves the result undefined.
			return PublishedAmbiguous, errAmbiguous
		}
		return PublishedOK, nil
	}
	return state, err
}

// matches tells whether key is the public half of k.
func (k *PrivateKey) matches(key *Key) bool {
	own, ok := k.signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(key.Public)
}
