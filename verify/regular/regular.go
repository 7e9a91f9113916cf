// Package regular reads regular files, and refuses everything else that a path can
// lead to: a FIFO would be waited for, a device read forever.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Open opens the regular file at path, or the one that a symbolic link there points
// to, for reading. The error is a *fs.PathError.
func Open(path string) (*os.File, fs.FileInfo, error) {
	// Opening a device can have effects, so its type is checked first.
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := check(path, info); err != nil {
		return nil, nil, err
	}
	// The path may lead elsewhere by now. Opening a FIFO must not wait for a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = file.Stat(); err == nil {
		err = check(path, info)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// ReadFile returns the content of the file that [Open] opens. A file with more than
// limit octets is an error, which is a *fs.PathError too.
func ReadFile(path string, limit int64) ([]byte, fs.FileInfo, error) {
	file, info, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, nil, err
	}
	if int64(len(content)) > limit {
		return nil, nil, refuse(path, fmt.Errorf("has more than %d KiB", limit>>10))
	}
	return content, info, nil
}

func check(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return refuse(path, errors.New("is "+Kind(info.Mode())+", not a regular file"))
}

func refuse(path string, err error) error { return &fs.PathError{Op: "read", Path: path, Err: err} }

// Kind returns the type of a file as worded in error messages.
func Kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a regular file"
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a FIFO"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "of an unknown type"
}
