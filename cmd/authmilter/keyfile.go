package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"authmilter/config"
	"authmilter/verify/regular"
)

// writeKey writes a private key to a file that only its owner can read. With force it
// replaces an existing file if that is a regular one: neither a device nor a symbolic
// link, whose target somebody else may have chosen.
func writeKey(path string, text []byte, force bool) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = createFile(path, text)
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("is %s, not a regular file", regular.Kind(info.Mode()))
	case !force:
		return fmt.Errorf("%s exists; --force overwrites it", path)
	default:
		err = replaceFile(path, text)
	}
	if err != nil {
		return config.FileError(path, err)
	}
	return nil
}

// createFile creates a file. It is an error if something has appeared at path.
func createFile(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := writeAll(file, text); err != nil {
		_ = os.Remove(path)
		return err
	}
	return nil
}

// replaceFile replaces a file. The old one stays until the new one is complete. The
// path is renamed onto, never opened, so nothing is written through whatever somebody
// puts there meanwhile.
func replaceFile(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".authmilter-key-") // with mode 0600
	if err != nil {
		return err
	}
	err = writeAll(file, text)
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// writeAll writes text to file, syncs it to disk and closes it.
func writeAll(file *os.File, text []byte) error {
	_, err := file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}
