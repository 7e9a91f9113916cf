package config

import (
	"errors"
	"fmt"
	"io/fs"
)

// keyError is an error in the value of a key.
type keyError struct {
	key string
	err error
	// table is the index of the table with the key, if there is a list of them.
	table int
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// badKey returns a *keyError.
func badKey(key, format string, args ...any) error {
	return &keyError{key: key, err: fmt.Errorf(format, args...)}
}

// badKeyOf returns a *keyError for a key in the i-th of a list of tables.
func badKeyOf(i int, key, format string, args ...any) error {
	return &keyError{key: key, table: i, err: fmt.Errorf(format, args...)}
}

// errMissing is the error for a required key that is not set.
var errMissing = errors.New("is missing")

// FileError prefixes err with the name of the file, once.
func FileError(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
