package dkim_test

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

func BenchmarkVerify(b *testing.B) {
	msg := plain
	for i := range 25 {
		msg = fmt.Sprintf("X-Field-%d: some text of usual length for a header field\r\n", i) + msg
	}
	msg = sign(rsaKey(), tags, msg)
	header, _, err := message.ReadHeader(bufio.NewReader(strings.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		b.Fatal(err)
	}
	_, body, _ := strings.Cut(msg, "\r\n\r\n")
	chunk := []byte(body)
	z := zone(b)
	keys, err := dkim.LookupKeys(ctx, z, "s1", "example.com")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m := &message.Body{}
		all := dkim.Begin(dkim.Options{}, &dkim.Input{Header: header, Index: message.NewIndex(header), Body: m, Now: now})
		all[0].UseKeys(keys, nil)
		_, _ = m.Write(chunk)
		if r := all[0].Result(m); r.Status != dkim.Pass {
			b.Fatal(r.Err)
		}
	}
}
