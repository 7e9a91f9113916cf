package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"authmilter/milter"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

// ownKey is a private key that the configuration names.
type ownKey struct {
	// use is "seal" or "sign".
	use, domain, selector string
	key                   *dkim.PrivateKey
}

// checkKeyNames checks where keys are published, and normalizes it.
func (c *Config) checkKeyNames() error {
	for i, name := range c.ARC.TrustedSealers {
		ascii, err := domain.ToASCII(name)
		if err != nil {
			return badKey("arc.trusted_sealers", "%q is %w", name, err)
		}
		c.ARC.TrustedSealers[i] = ascii
	}
	a := &c.ARC
	if a.Seal {
		if err := checkKeyName("arc", 0, &a.Domain, &a.Selector, a.KeyFile); err != nil {
			return err
		}
	}
	seen := map[[2]string]bool{}
	for i := range c.Sign {
		s := &c.Sign[i]
		if err := checkKeyName("sign", i, &s.Domain, &s.Selector, s.KeyFile); err != nil {
			return err
		}
		name := [2]string{s.Domain, s.Selector}
		if seen[name] {
			return &keyError{key: "sign.selector", table: i, err: fmt.Errorf("%s of %s occurs twice", s.Selector, s.Domain)}
		}
		seen[name] = true
	}
	return nil
}

// checkKeyName checks one key of a table, the i-th of its name.
func checkKeyName(table string, i int, name, selector *string, file string) error {
	for _, v := range []struct {
		key   string
		value *string
	}{{"domain", name}, {"selector", selector}} {
		if *v.value == "" {
			return &keyError{key: table + "." + v.key, table: i, err: fmt.Errorf("is missing")}
		}
		ascii, err := domain.ToASCII(*v.value)
		if err != nil {
			return &keyError{key: table + "." + v.key, table: i, err: fmt.Errorf("%q is %w", *v.value, err)}
		}
		*v.value = ascii
	}
	// Nobody would take a signature of such a domain (RFC 6376 section 3.5), or
	// could look its key up; and a seal that nobody takes ends the chain.
	if domain.Labels(*name) < 2 {
		return &keyError{key: table + ".domain", table: i, err: fmt.Errorf("%q is one label, and a domain that signs has two at least", *name)}
	}
	if record := *selector + "._domainkey." + *name; len(record) > domain.MaxLength {
		return &keyError{key: table + ".selector", table: i, err: fmt.Errorf("the name of the key record has %d octets, and %d are the most", len(record), domain.MaxLength)}
	}
	if file == "" {
		return &keyError{key: table + ".key_file", table: i, err: fmt.Errorf("is missing")}
	}
	return nil
}

// loadKeys reads the private keys that c names. What is odd about their files
// but no error is in warnings.
func (c *Config) loadKeys() (warnings []string, err error) {
	load := func(use, table string, i int, name, selector, file string) (ownKey, error) {
		key, warning, err := readKeyFile(file)
		if err != nil {
			return ownKey{}, c.locate(&keyError{key: table + ".key_file", table: i, err: err})
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
		return ownKey{use: use, domain: name, selector: selector, key: key}, nil
	}
	c.sealKey, c.signKeys = nil, nil
	if c.ARC.Seal {
		k, err := load("seal", "arc", 0, c.ARC.Domain, c.ARC.Selector, c.ARC.KeyFile)
		if err != nil {
			return nil, err
		}
		c.sealKey = &k
	}
	for i, s := range c.Sign {
		k, err := load("sign", "sign", i, s.Domain, s.Selector, s.KeyFile)
		if err != nil {
			return nil, err
		}
		c.signKeys = append(c.signKeys, k)
	}
	return warnings, nil
}

// maxKeyFile bounds what is read of a key file, in octets.
const maxKeyFile = 64 << 10

// readKeyFile reads a private key. The warning, if any, names the file, and so
// does the error.
func readKeyFile(path string) (key *dkim.PrivateKey, warning string, err error) {
	// Not blocking: to open a FIFO would wait for somebody who writes into it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", pathReason(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", pathReason(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s: not a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, "", pathReason(path, err)
	}
	if key, err = dkim.ParsePrivateKey(text); err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		warning = fmt.Sprintf("%s: everybody on this host can use the private key: its mode is %04o", path, info.Mode().Perm())
	}
	return key, warning, nil
}

// sealer returns what seals messages, nil where they are not.
func (c *Config) sealer() *arc.Sealer {
	if c.sealKey == nil {
		return nil
	}
	return &arc.Sealer{Domain: c.sealKey.domain, Selector: c.sealKey.selector, Key: c.sealKey.key}
}

// signing returns what signs own mail.
func (c *Config) signing() []milter.SigningKey {
	var keys []milter.SigningKey
	for _, k := range c.signKeys {
		keys = append(keys, milter.SigningKey{Domain: k.domain, Selector: k.selector, Signer: k.key.Signer()})
	}
	return keys
}

// ownKeys returns every private key.
func (c *Config) ownKeys() []ownKey {
	keys := c.signKeys
	if c.sealKey != nil {
		keys = append([]ownKey{*c.sealKey}, keys...)
	}
	return keys
}

// publishedEvery is how often it is checked that our keys are published.
const publishedEvery = time.Hour

// keyCheck watches what DNS publishes about our keys.
type keyCheck struct {
	log  *slog.Logger
	seen *watch

	cancel  context.CancelFunc // nil before the first watch
	running sync.WaitGroup
}

// watch checks keys now and then every hour, in the place of those watched
// before. It asks r, which must not have a cache: whoever has just published a
// record and reloads wants to know of this one.
func (c *keyCheck) watch(keys []ownKey, r dns.Resolver) {
	c.stop()
	c.seen.forgetKeys()
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.running.Go(func() {
		again := time.NewTicker(publishedEvery)
		defer again.Stop()
		for {
			for _, k := range keys {
				c.check(ctx, k, r)
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// stop ends the watch.
func (c *keyCheck) stop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.running.Wait()
}

// check checks one key. That it is not published is no reason not to serve: it
// may be on its way, and nobody loses mail by it.
func (c *keyCheck) check(ctx context.Context, k ownKey, r dns.Resolver) {
	state, err := k.key.CheckPublished(ctx, r, k.selector, k.domain)
	if ctx.Err() != nil {
		return
	}
	c.seen.keyState(k, string(state))
	switch state {
	case dkim.PublishedOK:
		c.log.Info("key is published", "use", k.use, "domain", k.domain, "selector", k.selector, "bits", k.key.Bits)
	case dkim.PublishedUnknown:
		c.log.Warn("it is not known whether the key is published",
			"use", k.use, "domain", k.domain, "selector", k.selector, "error", err)
	case dkim.PublishedAmbiguous:
		c.log.Error("not everybody can verify what this key signs: DNS publishes other keys at its name too",
			"use", k.use, "name", k.selector+"._domainkey."+k.domain, "error", err)
	default:
		c.log.Error("nobody can verify what this key signs: DNS does not publish it",
			"use", k.use, "name", k.selector+"._domainkey."+k.domain, "error", err, "publish", k.key.Record())
	}
}
