package dns

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"authmilter/verify/regular"
)

const (
	// maxSystemServers is how many servers in the file are used, as in the C
	// library (resolv.conf(5), MAXNS).
	maxSystemServers = 3
	// maxSystemFile bounds the file, in octets.
	maxSystemFile = 64 << 10
)

// SystemServers returns the resolvers named by the file at path, usually
// /etc/resolv.conf, as host:port. Only the first three are used. Like the C
// library, it skips lines that do not give an IP address. A file without any
// resolver is an error.
func SystemServers(path string) ([]string, error) {
	file, _, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	servers, err := parseSystemServers(io.LimitReader(file, maxSystemFile))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case len(servers) == 0:
		return nil, fmt.Errorf("%s: no nameserver", path)
	}
	return servers, nil
}

func parseSystemServers(r io.Reader) ([]string, error) {
	var servers []string
	lines := bufio.NewScanner(r)
	for lines.Scan() && len(servers) < maxSystemServers {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		// The address keeps its zone, which a link-local address needs.
		if addr, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, net.JoinHostPort(addr.String(), "53"))
		}
	}
	return servers, lines.Err()
}
