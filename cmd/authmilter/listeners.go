package main

import (
	"fmt"
	"net"
	"os"

	"authmilter/config"
	"authmilter/milter"
)

// openListeners opens the addresses in cfg that are not open yet, and those that an MTA
// cannot reach any more because the socket was removed. If one fails, it opens none.
func openListeners(cfg *config.Config, open map[string]net.Listener) (map[string]net.Listener, error) {
	opened := map[string]net.Listener{}
	for _, a := range cfg.Listen {
		name := a.String()
		if l := open[name]; l != nil && milter.Reachable(l) || opened[name] != nil {
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
