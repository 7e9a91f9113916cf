package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// maxPassed is the maximum number of sockets that systemd can pass.
const maxPassed = 64

// passedListeners returns the sockets that systemd opened for us, by name; none if it
// passed none.
func passedListeners() (map[string]net.Listener, error) {
	named := map[string]net.Listener{}
	err := checkPassed()
	if err == nil {
		for _, file := range activation.Files(true) {
			if err = addPassed(named, file); err != nil {
				break
			}
		}
	}
	if err != nil {
		closeAll(named)
		return nil, fmt.Errorf("socket activation: %w", err)
	}
	return named, nil
}

// checkPassed checks the environment as sd_listen_fds(3) describes it, before
// [activation.Files] believes it: that function takes a malformed number for 0, and
// any other number for that of our descriptors.
func checkPassed() error {
	pid, isSet := os.LookupEnv("LISTEN_PID")
	if !isSet {
		return nil
	}
	if n, err := strconv.Atoi(pid); err != nil || n < 1 {
		return fmt.Errorf("LISTEN_PID: %q is not the ID of a process", pid)
	} else if n != os.Getpid() {
		return nil // for a process that started us
	}
	fds, isSet := os.LookupEnv("LISTEN_FDS")
	if !isSet {
		return nil
	}
	if n, err := strconv.Atoi(fds); err != nil || n < 1 || n > maxPassed {
		return fmt.Errorf("LISTEN_FDS: %q is not a number from 1 to %d", fds, maxPassed)
	}
	return nil
}

// addPassed adds the listener of a passed socket to named. It closes file only if that
// is such a socket: if LISTEN_FDS counts too many, it may be one of our own.
func addPassed(named map[string]net.Listener, file *os.File) error {
	for _, option := range []struct{ name, want int }{
		{syscall.SO_ACCEPTCONN, 1},
		{syscall.SO_TYPE, syscall.SOCK_STREAM},
	} {
		got, err := syscall.GetsockoptInt(int(file.Fd()), syscall.SOL_SOCKET, option.name)
		if err != nil || got != option.want {
			return fmt.Errorf("%s is not a listening stream socket", file.Name())
		}
	}
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file.Name(), err)
	}
	name := listenerName(l)
	if named[name] != nil {
		return errors.Join(fmt.Errorf("%s: %s was passed twice", file.Name(), name), l.Close())
	}
	named[name] = l
	return nil
}
