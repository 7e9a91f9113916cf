package dkim

import (
	"context"
	"crypto"
	"errors"

	"authmilter/verify/dns"
)

// Published is the state of the key record that a domain publishes for one of our
// keys.
type Published string

// The states of a key record.
const (
	PublishedOK        Published = "ok"
	PublishedAmbiguous Published = "ambiguous" // the key, and other keys at the same name
	PublishedMissing   Published = "missing"   // no record
	PublishedMismatch  Published = "mismatch"  // a record with another key
	PublishedUnusable  Published = "unusable"  // malformed, revoked, or not for mail
	PublishedUnknown   Published = "unknown"   // DNS gave no answer
)

// PublishedStates returns every Published.
func PublishedStates() []Published {
	return []Published{PublishedOK, PublishedAmbiguous, PublishedMissing, PublishedMismatch, PublishedUnusable, PublishedUnknown}
}

var (
	errAmbiguous = errors.New("several key records at one name; verifiers may use any of them")
	errMissing   = errors.New("no key record")
	errMismatch  = errors.New("the key record holds another key")
)

// CheckPublished checks that domain publishes k for selector, such that it can sign
// messages from domain itself. The error explains any state but PublishedOK.
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
	// i= is the same as d= in everything we sign, so the flag t=s does not matter.
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

// matches reports whether key is the public half of k.
func (k *PrivateKey) matches(key *Key) bool {
	own, ok := k.signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(key.Public)
}
