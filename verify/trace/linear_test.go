package trace

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"authmilter/verify/message"
)

// hostile returns fields of n octets that are as slow to read as a sender can make
// them.
func hostile(n int) map[string]string {
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (n-len(before)-len(after))/len(unit)) + after
	}
	return map[string]string{
		"letters":      fill("from ", "a", " (x [203.0.113.5])\r\n\tby mx; x"),
		"spaces":       fill("from a", " ", "(x [203.0.113.5])\r\n\tby mx; x"),
		"words":        fill("from ", "a ", "(x [203.0.113.5])\r\n\tby mx; x"),
		"comments":     fill("from a (x [203.0.113.5]) ", "(a) ", "\r\n\tby mx; x"),
		"nested":       fill("from a (x [203.0.113.5]) ", "(", ""),
		"parentheses":  fill("from a ", "(x [10.0.0.1]) ", "b\r\n\tby mx; x"),
		"hosts":        fill("from a (x [203.0.113.5])", ") by ", ""),
		"folds":        fill("from a (x [203.0.113.5])", "\r\n\tby ", ""),
		"idents":       fill("from a (", "x@", "[203.0.113.5])\r\n\tby mx; x"),
		"names":        fill("from a (", "a.", " [203.0.113.5])\r\n\tby mx; x"),
		"digits":       fill("from a ([", "1:", "])\r\n\tby mx; x"),
		"helo":         fill("from [203.0.113.5] (", "helo=a ident=", ")\r\n\tby mx; x"),
		"junk helo":    fill("from [203.0.113.5] (", "helo=a) ident=(", ")\r\n\tby mx with smtp (Exim 4.96); x"),
		"exim":         fill("from [203.0.113.5]\r\n\tby ", "(Exim", "; x"),
		"exchange":     fill("from a (203.0.113.5)\r\n\tby ", "a (1) with ", "; x"),
		"broken":       fill("from "+strings.Repeat("a", longLine), "\r\n a!", "(x [203.0.113.5])\r\n\tby mx; x"),
		"line endings": fill("from a", "\r\n ", "(x [203.0.113.5])\r\n\tby mx; x"),
	}
}

// TestParseReceivedLinear checks that the longest field takes milliseconds. In time
// that is quadratic in its length it would take seconds.
func TestParseReceivedLinear(t *testing.T) {
	for name, value := range hostile(maxReceived) {
		took := time.Hour
		for range 10 { // the machine may be busy
			begun := time.Now()
			ParseReceived(value)
			took = min(took, time.Since(begun))
		}
		if took > 200*time.Millisecond {
			t.Errorf("%s: %v", name, took)
		}
	}
}

func BenchmarkParseReceived(b *testing.B) {
	for name, value := range hostile(maxReceived) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				ParseReceived(value)
			}
		})
	}
}

// BenchmarkTrail follows the most, and the longest, fields.
func BenchmarkTrail(b *testing.B) {
	relay := "from " + strings.Repeat("a", maxReceived-100) + " (x [10.0.0.1])\r\n\tby mx; x"
	f := message.NewField("Received", relay)
	b.SetBytes(int64(len(relay)) * maxHops)
	for b.Loop() {
		trail := Trail{Relays: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30")}}
		hops := 1
		for !trail.Field(f) {
			hops++
		}
		if hops != maxHops {
			b.Fatal(hops)
		}
	}
}
