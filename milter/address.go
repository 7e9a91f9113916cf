package milter

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"authmilter/verify/domain"
)

// Address is the address of a listener, at which the MTA finds us.
type Address struct {
	network string // "tcp4", "tcp6" or "unix"
	host    string // an IP address or a host name
	port    uint16
	path    string // of a unix socket
}

// ParseAddress parses Sendmail's notation: "inet:port@host", "inet6:port@host",
// "unix:/path" or "local:/path".
func ParseAddress(s string) (Address, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "unix", "local":
		if !strings.HasPrefix(rest, "/") {
			return Address{}, fmt.Errorf("%q: the path of a socket must begin with a slash", s)
		}
		return Address{network: "unix", path: rest}, nil
	case "inet", "inet6":
		port, host, ok := strings.Cut(rest, "@")
		number, err := strconv.ParseUint(port, 10, 16)
		host, valid := parseHost(host, kind == "inet6")
		if !ok || err != nil || !valid {
			return Address{}, fmt.Errorf(`%q is not an address such as "%s:8894@%s"`, s, kind, loopback[kind])
		}
		return Address{network: networks[kind], host: host, port: uint16(number)}, nil
	}
	return Address{}, fmt.Errorf(`%q is not an address such as "inet:8894@127.0.0.1" or "unix:/run/authmilter.sock"`, s)
}

var (
	networks = map[string]string{"inet": "tcp4", "inet6": "tcp6"}
	loopback = map[string]string{"inet": "127.0.0.1", "inet6": "::1"}
)

// number matches names that the C library can take for an IPv4 address: "0" for
// 0.0.0.0, "127.1" for 127.0.0.1.
var number = regexp.MustCompile(`(^|\.)([0-9]+|0x[0-9a-f]*)$`)

// parseHost returns a host without the brackets that it may be in, and whether it is
// an IP address of the right family or a host name. An empty host is neither: it
// would stand for every address that this host has.
func parseHost(text string, v6 bool) (host string, ok bool) {
	host = text
	if inside, bracketed := strings.CutPrefix(text, "["); bracketed {
		if host, ok = strings.CutSuffix(inside, "]"); !ok {
			return "", false
		}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return host, ip.Is6() == v6 && !ip.Is4In6()
	}
	name, err := domain.ToASCII(host)
	return host, err == nil && !number.MatchString(name)
}

// MustParseAddress is [ParseAddress] for constants.
func MustParseAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// String returns the address in Sendmail's notation.
func (a Address) String() string {
	switch a.network {
	case "unix":
		return "unix:" + a.path
	case "tcp6":
		return fmt.Sprintf("inet6:%d@%s", a.port, a.host)
	}
	return fmt.Sprintf("inet:%d@%s", a.port, a.host)
}

// Host returns the IP address or host name that a TCP listener listens on; ok is false
// for a unix socket.
func (a Address) Host() (host string, ok bool) { return a.host, a.network != "unix" }

// postfixQueue is the default directory in which smtpd runs, with or without a
// chroot.
const postfixQueue = "/var/spool/postfix/"

// Postfix returns the address as written in smtpd_milters. A path below Postfix's
// queue directory is made relative to it, so that an smtpd in a chroot finds it.
func (a Address) Postfix() string {
	if a.network == "unix" {
		return "unix:" + strings.TrimPrefix(a.path, postfixQueue)
	}
	return "inet:" + net.JoinHostPort(a.host, strconv.Itoa(int(a.port)))
}

// Sendmail returns the address as written in INPUT_MAIL_FILTER.
func (a Address) Sendmail() string {
	if a.network == "unix" {
		return "local:" + a.path
	}
	return a.String()
}

// MTALines returns the lines that attach a milter at the address, for Postfix's
// main.cf and for sendmail.mc, each under a comment that says so.
func (a Address) MTALines() string {
	return fmt.Sprintf(`# Postfix, main.cf
smtpd_milters = { %s, connect_timeout=10s, default_action=accept }
dnl Sendmail, sendmail.mc
INPUT_MAIL_FILTER(`+"`authmilter', `S=%s"+`, T=C:30s;S:30s;R:60s;E:5m')dnl
`, a.Postfix(), a.Sendmail())
}
