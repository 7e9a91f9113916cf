package config

import (
	"fmt"

	"authmilter/verify/dkim"
	"authmilter/verify/domain"
	"authmilter/verify/regular"
)

// KeyUse is the purpose of a private key.
type KeyUse string

// The uses.
const (
	UseSeal KeyUse = "seal" // ARC Sets
	UseSign KeyUse = "sign" // DKIM signatures on own mail
)

// Key is a private key named in the configuration. DNS publishes its public key at
// Selector._domainkey.Domain.
type Key struct {
	Use              KeyUse
	Domain, Selector string
	Private          *dkim.PrivateKey
}

// normalizeKeyNames checks the names at which keys are published, and normalizes them
// and the names of trusted sealers.
func (f *File) normalizeKeyNames() error {
	if err := normalizeNames(0, "arc.trusted_sealers", f.ARC.TrustedSealers); err != nil {
		return err
	}
	if a := &f.ARC; a.Seal {
		if err := normalizeKeyName("arc", 0, &a.Domain, &a.Selector, a.KeyFile); err != nil {
			return err
		}
	}
	seen := map[[2]string]bool{}
	for i := range f.Sign {
		s := &f.Sign[i]
		if err := normalizeKeyName("sign", i, &s.Domain, &s.Selector, s.KeyFile); err != nil {
			return err
		}
		name := [2]string{s.Domain, s.Selector}
		if seen[name] {
			return badKeyOf(i, "sign.selector", "%s of %s occurs twice", s.Selector, s.Domain)
		}
		seen[name] = true
	}
	return nil
}

// normalizeKeyName checks and normalizes the name of the key in the i-th table with
// the given name.
func normalizeKeyName(table string, i int, name, selector *string, file string) error {
	for _, v := range []struct {
		key   string
		value *string
	}{{table + ".domain", name}, {table + ".selector", selector}} {
		if *v.value == "" {
			return badKeyOf(i, v.key, "%w", errMissing)
		}
		ascii, err := domain.ToASCII(*v.value)
		if err != nil {
			return badKeyOf(i, v.key, "%q is %w", *v.value, err)
		}
		*v.value = ascii
	}
	// Verifiers refuse a signature from such a domain (RFC 6376 section 3.5) or cannot
	// look up its key, and a seal that they refuse ends the chain.
	if domain.Labels(*name) < 2 {
		return badKeyOf(i, table+".domain", "%q is a single label; a signing domain needs at least two", *name)
	}
	if record := *selector + "._domainkey." + *name; len(record) > domain.MaxLength {
		return badKeyOf(i, table+".selector", "the name of the key record has %d octets; the maximum is %d", len(record), domain.MaxLength)
	}
	if file == "" {
		return badKeyOf(i, table+".key_file", "%w", errMissing)
	}
	return nil
}

// readKeys reads the private keys that f names, the sealing key first. Warnings
// concern files that are usable but have a problem.
func (f *File) readKeys() (keys []Key, warnings []string, err error) {
	read := func(k Key, table string, i int, file string) error {
		var warning string
		if k.Private, warning, err = readKeyFile(file); err != nil {
			return f.source.locate(badKeyOf(i, table+".key_file", "%w", err))
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
		keys = append(keys, k)
		return nil
	}
	if a := &f.ARC; a.Seal {
		if err := read(Key{Use: UseSeal, Domain: a.Domain, Selector: a.Selector}, "arc", 0, a.KeyFile); err != nil {
			return nil, nil, err
		}
	}
	for i, s := range f.Sign {
		if err := read(Key{Use: UseSign, Domain: s.Domain, Selector: s.Selector}, "sign", i, s.KeyFile); err != nil {
			return nil, nil, err
		}
	}
	return keys, warnings, nil
}

// maxKeyFile is the maximum size of a key file, in octets.
const maxKeyFile = 64 << 10

// readKeyFile reads a private key. The warning, if any, and the error name the file.
func readKeyFile(path string) (key *dkim.PrivateKey, warning string, err error) {
	text, info, err := regular.ReadFile(path, maxKeyFile)
	if err != nil {
		return nil, "", FileError(path, err)
	}
	if key, err = dkim.ParsePrivateKey(text); err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		warning = fmt.Sprintf("%s: everybody on this host can use the private key: its mode is %04o", path, info.Mode().Perm())
	}
	return key, warning, nil
}
