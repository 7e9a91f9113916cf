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

func BenchmarkParseTags(b *testing.B) {
	tags := " v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s1;\r\n\tt=1740830400; " +
		"h=from:to:subject:date:message-id:mime-version:content-type:list-unsubscribe:from;\r\n\t" +
		"bh=/N+4qlZiN57kd5/NIxms0fhHXNLQXHS0LX1HnwGtIYI=;\r\n\tb=" + strings.Repeat("cHz+N45nAFWc", 28)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dkim.ParseTags(tags); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSignature(b *testing.B) {
	msg := sign(rsaKey(), tags, plain)
	header, _, err := message.ReadHeader(bufio.NewReader(strings.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dkim.ParseSignature(header[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseKey(b *testing.B) {
	z := zone(b)
	for _, selector := range []string{"s1", "ed"} {
		b.Run(selector, func(b *testing.B) {
			a, err := z.TXT(ctx, selector+"._domainkey.example.com")
			if err != nil || len(a.Values) == 0 {
				b.Fatal("no key: ", err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dkim.ParseKey(a.Values[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
