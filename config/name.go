package config

import "authmilter/verify/domain"

// normalizeNames converts domain names, the value of a key in the i-th table with its
// name, to lower-case A-labels.
func normalizeNames(i int, key string, names []string) error {
	for n, name := range names {
		ascii, err := domain.ToASCII(name)
		if err != nil {
			return badKeyOf(i, key, "%q is %w", name, err)
		}
		names[n] = ascii
	}
	return nil
}
