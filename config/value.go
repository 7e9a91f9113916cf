package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"authmilter/milter"
	"authmilter/policy"
	"authmilter/verify/dmarc"
)

// The types in this file convert values of a configuration file to and from text.

// Duration is written in Go's notation: "5s", "1m30s".
type Duration time.Duration

func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is not a duration such as "5s"`, text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Size is a number of octets, written with an optional unit: "65536", "64KiB",
// "1MiB".
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf(`%q is not a size such as "1MiB"`, text)
}

func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if u.suffix != "" && s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.bytes, u.suffix), nil
		}
	}
	return fmt.Appendf(nil, "%d", int64(s)), nil
}

// FileMode is written in octal: "0660".
type FileMode os.FileMode

func (m *FileMode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf(`%q is not a file mode such as "0660"`, text)
	}
	*m = FileMode(v)
	return nil
}

func (m FileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// Network is a network or a single address.
type Network struct{ netip.Prefix }

func (p *Network) UnmarshalText(text []byte) (err error) {
	p.Prefix, err = policy.ParseNetwork(string(text))
	return err
}

func (p Network) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func mustNetwork(s string) Network { return Network{netip.MustParsePrefix(s)} }

// HostPort is the address of a DNS server: host:port, or just an IP address for
// port 53. It is a struct because the decoder does not call UnmarshalText for
// strings in a list.
type HostPort struct{ text string }

func (h *HostPort) UnmarshalText(text []byte) error {
	s := string(text)
	if _, err := netip.ParseAddr(s); err == nil {
		s = net.JoinHostPort(s, "53")
	}
	const example = "127.0.0.1:53"
	if err := checkHostPort(s, example); err != nil {
		return err
	}
	if host, port, _ := net.SplitHostPort(s); host == "" || port == "0" {
		return fmt.Errorf("%q is not an address such as %q", s, example)
	}
	h.text = s
	return nil
}

// ParseHostPort parses the address of a DNS server.
func ParseHostPort(text string) (h HostPort, err error) {
	err = h.UnmarshalText([]byte(text))
	return h, err
}

func (h HostPort) MarshalText() ([]byte, error) { return []byte(h.text), nil }

// checkHostPort checks that s is host:port with a numeric port. The host can be left
// out, but not be empty brackets.
func checkHostPort(s, example string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil && strings.HasPrefix(s, "[]") {
		err = strconv.ErrSyntax
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as %q", s, example)
	}
	return nil
}

// ListenAddress is written in Sendmail's notation.
type ListenAddress struct{ milter.Address }

func (a *ListenAddress) UnmarshalText(text []byte) (err error) {
	a.Address, err = milter.ParseAddress(string(text))
	return err
}

func (a ListenAddress) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Discovery is a way to find DMARC policies.
type Discovery dmarc.Mode

func (d *Discovery) UnmarshalText(text []byte) error {
	for _, m := range []dmarc.Mode{dmarc.TreeWalk, dmarc.PSL} {
		if string(text) == m.String() {
			*d = Discovery(m)
			return nil
		}
	}
	return fmt.Errorf(`%q is neither "tree-walk" nor "psl"`, text)
}

func (d Discovery) MarshalText() ([]byte, error) { return []byte(dmarc.Mode(d).String()), nil }

// LogLevel is written by its name.
type LogLevel slog.Level

func (l *LogLevel) UnmarshalText(text []byte) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(string(text), known.String()) {
			*l = LogLevel(known)
			return nil
		}
	}
	return fmt.Errorf(`%q is not "debug", "info", "warn" or "error"`, text)
}

func (l LogLevel) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(slog.Level(l).String())), nil
}

// Level implements [slog.Leveler].
func (l LogLevel) Level() slog.Level { return slog.Level(l) }
