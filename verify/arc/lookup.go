package arc

import (
	"slices"

	"authmilter/verify/dkim"
)

// MaxLookups bounds how many keys are looked up for one chain: one for each seal,
// and some more for message signatures that use another key.
const MaxLookups = MaxSets + 10

// KeyName is the selector and domain of a key.
type KeyName struct{ Selector, Domain string }

// Keys returns the keys published at a name, or an error, as [dkim.LookupKeys]
// does. It can be called for the same name more than once.
type Keys func(KeyName) ([]*dkim.Key, error)

func nameOf(s *dkim.Signature) KeyName { return KeyName{s.Selector, s.Domain} }

// KeyNames returns the names of all keys that the chain needs, each once, in the
// order in which CheckHeader requests them.
func (v *Verification) KeyNames() []KeyName {
	var names []KeyName
	add := func(s *dkim.Signature) {
		if n := nameOf(s); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(v.messages) == 0 {
		return nil
	}
	sets := v.chain.Sets
	add(v.chain.Newest().MessageSignature)
	for i := range slices.Backward(sets) {
		add(sets[i].Seal.Signature)
	}
	for i := len(sets) - 2; i >= 0 && v.messages[i] != nil; i-- {
		add(sets[i].MessageSignature)
	}
	return names
}
