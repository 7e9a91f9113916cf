package dkim

import (
	"context"

	"authmilter/verify/dns"
	"authmilter/verify/fault"
)

var (
	errNoKey  = fault.New(PermError, ReasonNoKey, "no key for signature")
	errKeyDNS = fault.New(TempError, ReasonDNS, "key not available now")
)

// LookupKey returns the key that domain publishes for selector, the first if there
// are several. An error is an *[Error]; it is a TempError if DNS gave no answer.
func LookupKey(ctx context.Context, r dns.Resolver, selector, domain string) (*Key, error) {
	keys, err := LookupKeys(ctx, r, selector, domain)
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// LookupKeys returns the keys that domain publishes for selector, at least one. It
// skips records that are not valid keys (RFC 6376 section 6.1.2), so that other text
// at the name, or a half-finished key rotation, does not make good mail fail. If no
// record is a key, it returns the error of the first. An error is an *[Error].
func LookupKeys(ctx context.Context, r dns.Resolver, selector, domain string) ([]*Key, error) {
	answer, err := r.TXT(ctx, selector+"._domainkey."+domain)
	switch {
	case dns.IsNotFound(err):
		return nil, errNoKey
	case err != nil:
		return nil, errKeyDNS.Because(err)
	case len(answer.Values) == 0:
		return nil, errNoKey
	}
	var keys []*Key
	var first error
	for _, txt := range answer.Values {
		key, err := ParseKey(txt)
		switch {
		case err == nil:
			key.CNAMEs, key.Authentic = answer.CNAMEs, answer.Authentic
			keys = append(keys, key)
		case first == nil:
			first = err
		}
	}
	if len(keys) == 0 {
		return nil, first
	}
	return keys, nil
}
