package milter

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/message"
)

// TestSigningMemory checks that signing does not keep the body in memory.
func TestSigningMemory(t *testing.T) {
	keys, zone := signingKeys(t)
	header, _ := parse(t, ownMsg)
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for name, piece := range map[string]string{
		"text":        "A line of text of ordinary length.\r\n",
		"long lines":  strings.Repeat("x ", message.MaxLine/2) + "\r\n",
		"white space": strings.Repeat(" \t", message.MaxLine/2-1) + "x\r\n",
		"empty lines": strings.Repeat("\r\n", maxEmptyLines-1) + "x\r\n",
	} {
		chunk := []byte(strings.Repeat(piece, 1+(1<<16)/len(piece)))
		s, err := beginSigning(keys, header)
		if err != nil {
			t.Fatal(err)
		}
		s.write(chunk)
		before := heap()
		written := len(chunk)
		for ; written < 10<<20; written += len(chunk) {
			s.write(chunk)
		}
		if grown := heap() - before; grown > 1<<18 {
			t.Errorf("%s: the heap grew by %d octets", name, grown)
		}
		fields, err := s.finish()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body := strings.Repeat(string(chunk), written/len(chunk))
		if got := ourResults(t, zone, append(fields, header...), body); got != "pass pass" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestLongHeaders signs headers of the largest size that is signed.
func TestLongHeaders(t *testing.T) {
	keys, zone := signingKeys(t)
	header, _ := parse(t, ownMsg)
	for name, f := range map[string][]message.Field{
		"folds":  {{Name: "Cc", Raw: strings.Repeat("\r\n x", maxOwnHeader/4)}},
		"fields": slices.Repeat([]message.Field{{Name: "X", Raw: ""}}, maxOwnFields),
		"names":  slices.Repeat([]message.Field{{Name: strings.Repeat("x", 900), Raw: " x"}}, maxOwnHeader/1000),
	} {
		long := append(slices.Clone(header), f...)
		signed := mustSign(t, keys, long, ownBody)
		if got := ourResults(t, zone, signed, ownBody); got != "pass pass" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
