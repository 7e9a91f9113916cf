package message

import (
	"bytes"
	"strings"
	"testing"
)

func TestLineMeter(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name, body string
		want       bool
	}{
		{"nothing", "", false},
		{"998 octets", x(998) + "\r\n", false},
		{"999 octets", x(999) + "\r\n", true},
		{"998 octets without an end", x(998), false},
		{"999 octets without an end", x(999), true},
		{"998 octets and a CR", x(998) + "\r", false},
		{"998 octets and a lone CR", x(998) + "\rx\r\n", true},
		{"998 octets and a lone LF", x(998) + "\n\r\n", true},
		{"998 octets and two CRs", x(998) + "\r\r\n", true},
		{"lone LFs", strings.Repeat("x\n", 500), true},
		{"short lines", strings.Repeat(x(76)+"\r\n", 100), false},
		{"lines of 998 octets", strings.Repeat(x(998)+"\r\n", 3), false},
		{"a long line after short ones", strings.Repeat(x(76)+"\r\n", 100) + x(999) + "\r\n", true},
		{"a long line before short ones", x(999) + "\r\n" + strings.Repeat(x(76)+"\r\n", 100), true},
		{"a long line between short ones", x(5) + "\r\n" + x(1200) + "\r\n" + x(5) + "\r\n", true},
		{"empty lines", strings.Repeat("\r\n", 2000), false},
	} {
		for _, size := range []int{1, 2, 3, 7, 76, 997, 998, 999, 1000, 1001, 1 << 16} {
			var m LineMeter
			for p := []byte(c.body); len(p) > 0; p = p[min(size, len(p)):] {
				m.Write(p[:min(size, len(p))])
			}
			if m.Long() != c.want {
				t.Errorf("%s, %d octets at a time: %v", c.name, size, m.Long())
			}
		}
	}
}

func FuzzLineMeter(f *testing.F) {
	f.Add([]byte("aab"), uint16(999), uint16(3))
	f.Add([]byte("r\nr"), uint16(998), uint16(1))
	f.Add([]byte{0, 1, 2, 3, 4, 5}, uint16(499), uint16(1000))
	f.Fuzz(func(t *testing.T, script []byte, length, size uint16) {
		// Each octet of the script is a piece of the body.
		pieces := []string{"\r\n", "\r", "\n", "x", strings.Repeat("x", int(length)%1100), "text\r\n"}
		var b strings.Builder
		for _, c := range script[:min(len(script), 200)] {
			b.WriteString(pieces[int(c)%len(pieces)])
		}
		var m LineMeter
		for p := []byte(b.String()); len(p) > 0; {
			n := min(int(size)%1500+1, len(p))
			m.Write(p[:n])
			p = p[n:]
		}
		// A line ends with CRLF, so of "\r\r\n" the first CR belongs to it.
		want := false
		lines := strings.Split(b.String(), "\r\n")
		for i, line := range lines {
			if i == len(lines)-1 {
				line = strings.TrimSuffix(line, "\r")
			}
			want = want || len(line) > MaxLine
		}
		if m.Long() != want {
			t.Errorf("%v, want %v", m.Long(), want)
		}
	})
}

func TestHeaderLongLine(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		field Field
		want  bool
	}{
		{Field{"X", " " + x(995)}, false},
		{Field{"X", " " + x(996)}, true},
		{Field{x(997), ""}, false},
		{Field{x(998), ""}, true},
		{Field{"X", "\r\n " + x(997)}, false},
		{Field{"X", "\r\n " + x(998)}, true},
		{Field{"X", " " + x(995) + "\r\n " + x(997) + "\r\n x"}, false},
		{Field{"X", " x\r\n " + x(998) + "\r\n x"}, true},
		{Field{"X", " " + strings.Repeat("\n", 996)}, true},
	} {
		if got := (Header{{"To", " x"}, c.field, {"Cc", ""}}).LongLine(); got != c.want {
			t.Errorf("%.40q: %v", c.field, got)
		}
	}
}

func BenchmarkLineMeter(b *testing.B) {
	for name, line := range map[string]string{"base64": strings.Repeat("x", 76), "text": strings.Repeat("some text ", 7), "long": strings.Repeat("x", 990), "empty": ""} {
		body := bytes.Repeat([]byte(line+"\r\n"), 1<<20/(len(line)+2))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				var m LineMeter
				for p := body; len(p) > 0; p = p[min(1<<16, len(p)):] {
					m.Write(p[:min(1<<16, len(p))])
				}
			}
		})
	}
}
