package main

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

// The types of this file decode values of the config file from the text that
// people write, and encode them back.

// duration is written as Go and people do: "5s", "1m30s".
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`%q is not a duration such as "5s"`, text)
	}
	*d = duration(v)
	return nil
}

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// size is a number of octets, written with an optional unit: "65536", "64KiB",
// "1MiB".
type size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

func (s *size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		*s = size(n * u.bytes)
		return nil
	}
	return fmt.Errorf(`%q is not a size such as "1MiB"`, text)
}

func (s size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if u.suffix != "" && s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.bytes, u.suffix), nil
		}
	}
	return fmt.Appendf(nil, "%d", int64(s)), nil
}

// fileMode is written in octal: "0660".
type fileMode os.FileMode

func (m *fileMode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf(`%q is not a file mode such as "0660"`, text)
	}
	*m = fileMode(v)
	return nil
}

func (m fileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// prefix is a network, or a single address.
type prefix struct{ netip.Prefix }

func (p *prefix) UnmarshalText(text []byte) (err error) {
	p.Prefix, err = policy.ParseNetwork(string(text))
	return err
}

func (p prefix) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func mustPrefix(s string) prefix { return prefix{netip.MustParsePrefix(s)} }

// hostPort is the address of a DNS server: host:port, or an address alone for
// port 53. It is a struct because the decoder fills lists of strings without
// asking UnmarshalText.
type hostPort struct{ text string }

func (h *hostPort) UnmarshalText(text []byte) error {
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

func (h hostPort) MarshalText() ([]byte, error) { return []byte(h.text), nil }

// checkHostPort checks that s is host:port with a port in figures.
func checkHostPort(s, example string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as %q", s, example)
	}
	return nil
}

// listenAddress is written in Sendmail's notation.
type listenAddress struct{ milter.Address }

func (a *listenAddress) UnmarshalText(text []byte) (err error) {
	a.Address, err = milter.ParseAddress(string(text))
	return err
}

func (a listenAddress) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// discovery is a way to find DMARC policies.
type discovery dmarc.Mode

func (d *discovery) UnmarshalText(text []byte) error {
	for _, m := range []dmarc.Mode{dmarc.TreeWalk, dmarc.PSL} {
		if string(text) == m.String() {
			*d = discovery(m)
			return nil
		}
	}
	return fmt.Errorf(`%q is neither "tree-walk" nor "psl"`, text)
}

func (d discovery) MarshalText() ([]byte, error) { return []byte(dmarc.Mode(d).String()), nil }

// logLevel is written by its name.
type logLevel slog.Level

func (l *logLevel) UnmarshalText(text []byte) error {
	for _, known := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(string(text), known.String()) {
			*l = logLevel(known)
			return nil
		}
	}
	return fmt.Errorf(`%q is neither "debug", "info", "warn" nor "error"`, text)
}

func (l logLevel) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(slog.Level(l).String())), nil
}

// Level implements [slog.Leveler].
func (l logLevel) Level() slog.Level { return slog.Level(l) }
