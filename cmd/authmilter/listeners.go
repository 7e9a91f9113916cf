package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"authmilter/config"

	"github.com/coreos/go-systemd/v22/activation"
)

// openListeners opens the addresses in cfg that are not open yet. If one fails, it
// opens none.
func openListeners(cfg *config.Config, open map[string]net.Listener) (map[string]net.Listener, error) {
	opened := map[string]net.Listener{}
	for _, a := range cfg.Listen {
		name := a.String()
		if open[name] != nil || opened[name] != nil {
			continue
		}
		l, err := a.Listen(os.FileMode(cfg.SocketMode))
		if err != nil {
			closeAll(opened)
			return nil, cfg.ErrorAt("listen", err)
		}
		opened[name] = l
	}
	return opened, nil
}

func closeAll(listeners map[string]net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// passedListeners returns the sockets that systemd opened for us, by name.
func passedListeners() (map[string]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("socket activation: %w", err)
	}
	named := map[string]net.Listener{}
	for _, l := range passed {
		if l == nil {
			closeAll(named)
			return nil, errors.New("socket activation: systemd passed a socket that is not a listening stream socket")
		}
		named[listenerName(l)] = l
	}
	return named, nil
}

// listenerName returns the address of l in Sendmail's notation.
func listenerName(l net.Listener) string {
	switch a := l.Addr().(type) {
	case *net.UnixAddr:
		return "unix:" + a.Name
	case *net.TCPAddr:
		if a.IP.To4() != nil {
			return fmt.Sprintf("inet:%d@%v", a.Port, a.IP)
		}
		return fmt.Sprintf("inet6:%d@%v", a.Port, a.IP)
	}
	return l.Addr().String()
}
