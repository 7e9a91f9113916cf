package config

import (
	"errors"
	"fmt"
	"io/fs"
)

// keyError says what is wrong with the value of a key.
type keyError struct {
	key string
	err error
	// table is the position, from 0, of the table that holds the key in a list of
	// tables.
	table int
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// badKey returns a *keyError.
func badKey(key, format string, args ...any) error {
	return &keyError{key: key, err: fmt.Errorf(format, args...)}
}

// badKeyOf returns a *keyError for a key of the i-th of a list of tables.
func badKeyOf(i int, key, format string, args ...any) error {
	return &keyError{key: key, table: i, err: fmt.Errorf(format, args...)}
}

// errMissing is the error of a key that has to be set.
var errMissing = errors.New("is missing")

// FileError puts the name of a file before what went wrong with it.
func FileError(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
