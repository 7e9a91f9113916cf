// Package config reads the configuration and builds from it what the commands need.
//
// [Read] returns a [File], the configuration without its private keys, for commands
// that any user can run. [Load] returns a [Config], which includes the keys, for the
// milter. Errors of both name the file, the line and the key.
package config

import "authmilter/verify/regular"

// maxFile is the maximum size of a configuration file, in octets: enough for 100,000
// overrides.
const maxFile = 16 << 20

// Config is a complete configuration: a file and the private keys that it names.
type Config struct {
	*File
	// keys starts with the key that seals, if there is one.
	keys        []Key
	keyWarnings []string
}

// Load reads the configuration file path and the keys that it names. The path ""
// stands for the defaults.
func Load(path string) (*Config, error) {
	f, err := Read(path)
	if err != nil {
		return nil, err
	}
	c := &Config{File: f}
	if c.keys, c.keyWarnings, err = f.readKeys(); err != nil {
		return nil, err
	}
	return c, nil
}

// Read reads the configuration file path, but not the keys that it names. The path ""
// stands for the defaults.
func Read(path string) (*File, error) {
	f := defaults()
	var content []byte
	if path != "" {
		var err error
		if content, _, err = regular.ReadFile(path, maxFile); err != nil {
			return nil, FileError(path, err)
		}
	}
	if err := f.decode(path, content); err != nil {
		return nil, err
	}
	if err := f.normalize(); err != nil {
		return nil, f.source.locate(err)
	}
	return f, nil
}

// Keys returns every private key, beginning with the one that seals if there is one.
func (c *Config) Keys() []Key { return c.keys }
