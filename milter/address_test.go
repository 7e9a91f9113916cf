package milter

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, test := range []struct{ in, sendmail, postfix string }{
		{"inet:8894@127.0.0.1", "inet:8894@127.0.0.1", "inet:127.0.0.1:8894"},
		{"inet6:8894@::1", "inet6:8894@::1", "inet:[::1]:8894"},
		{"inet6:8894@[::1]", "inet6:8894@::1", "inet:[::1]:8894"},
		{"inet:25@localhost", "inet:25@localhost", "inet:localhost:25"},
		{"unix:/run/a.sock", "local:/run/a.sock", "unix:/run/a.sock"},
		{"local:/run/a.sock", "local:/run/a.sock", "unix:/run/a.sock"},
		{"unix:/var/spool/postfix/a/b.sock", "local:/var/spool/postfix/a/b.sock", "unix:a/b.sock"},
		{"unix:/var/spool/postfix2/a.sock", "local:/var/spool/postfix2/a.sock", "unix:/var/spool/postfix2/a.sock"},
		{"inet:25@[localhost]", "inet:25@localhost", "inet:localhost:25"},
		{"inet:25@[127.0.0.1]", "inet:25@127.0.0.1", "inet:127.0.0.1:25"},
		{"inet:25@0.0.0.0", "inet:25@0.0.0.0", "inet:0.0.0.0:25"},
		{"inet6:25@::", "inet6:25@::", "inet:[::]:25"},
		{"inet6:25@fe80::1%eth0", "inet6:25@fe80::1%eth0", "inet:[fe80::1%eth0]:25"},
		{"inet:25@3com.example", "inet:25@3com.example", "inet:3com.example:25"},
		{"inet:25@mx_1", "inet:25@mx_1", "inet:mx_1:25"},
		{in: "inet:8894"},
		// Hosts that are empty, malformed or of the other family. Go or the C library
		// would take some of them for 0.0.0.0.
		{in: "inet:8894@"},
		{in: "inet:8894@[]"},
		{in: "inet6:8894@[]"},
		{in: "inet:8894@["},
		{in: "inet:8894@]"},
		{in: "inet:8894@[[]]"},
		{in: "inet:8894@[127.0.0.1"},
		{in: "inet:8894@127.0.0.1]"},
		{in: "inet6:8894@[[::1]]"},
		{in: "inet6:8894@[::1"},
		{in: "inet6:8894@::1]"},
		{in: "inet:8894@."},
		{in: "inet:8894@a..example"},
		{in: "inet:8894@.example"},
		{in: "inet:8894@ "},
		{in: "inet:8894@[ ]"},
		{in: "inet:8894@127.0.0.1 "},
		{in: "inet:8894@\x00"},
		{in: "inet:8894@a\tb"},
		{in: "inet:8894@*"},
		{in: "inet:8894@%eth0"},
		{in: "inet6:8894@[%eth0]"},
		{in: "inet:8894@127.0.0.1@127.0.0.1"},
		{in: "inet:8894@127.0.0.1:25"},
		{in: "inet:8894@127.0.0.1/8"},
		{in: "inet:8894@0"},
		{in: "inet:8894@0."},
		{in: "inet:8894@00"},
		{in: "inet:8894@127.1"},
		{in: "inet:8894@0x0"},
		{in: "inet:8894@0X7f000001"},
		{in: "inet:8894@127.0.0.01"},
		{in: "inet:8894@256.0.0.1"},
		{in: "inet:8894@1.2.3.4.5"},
		{in: "inet:8894@99999999999999999999"},
		{in: "inet:8894@\uff10"},
		{in: "inet:8894@" + strings.Repeat("a", 64)},
		{in: "inet:8894@::1"},
		{in: "inet6:8894@127.0.0.1"},
		{in: "inet6:8894@::ffff:127.0.0.1"},
		{in: "inet:@127.0.0.1"},
		{in: "inet:99999@127.0.0.1"},
		{in: "inet:x@127.0.0.1"},
		{in: "inet:127.0.0.1:8894"},
		{in: "unix:a.sock"},
		{in: "/run/a.sock"},
		{in: "tcp:1@2"},
		{in: ""},
	} {
		a, err := ParseAddress(test.in)
		if test.sendmail == "" {
			if err == nil {
				t.Errorf("%q: no error", test.in)
			}
			continue
		}
		if err != nil || a.Sendmail() != test.sendmail || a.Postfix() != test.postfix {
			t.Errorf("%q: %q, %q, %v", test.in, a.Sendmail(), a.Postfix(), err)
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q: written %q, read %v", test.in, a, again)
		}
	}
}
