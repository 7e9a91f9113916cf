package verify

import (
	"sync"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
)

// keyring holds the keys of a chain. The first get of a key looks it up; later
// calls wait for the same answer.
type keyring struct {
	look arc.Keys

	mu   sync.Mutex
	keys map[arc.KeyName]func() ([]*dkim.Key, error)
}

func newKeyring(look arc.Keys) *keyring {
	return &keyring{look: look, keys: map[arc.KeyName]func() ([]*dkim.Key, error){}}
}

// get returns the keys published at a name.
func (k *keyring) get(n arc.KeyName) ([]*dkim.Key, error) {
	k.mu.Lock()
	get, ok := k.keys[n]
	if !ok {
		get = sync.OnceValues(func() ([]*dkim.Key, error) { return k.look(n) })
		k.keys[n] = get
	}
	k.mu.Unlock()
	return get()
}
