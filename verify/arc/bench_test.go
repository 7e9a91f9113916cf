package arc_test

import (
	"strings"
	"testing"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// BenchmarkVerify measures what chains cost, and how many keys they make us look
// up. A forged chain costs as much as one set, whatever its length.
func BenchmarkVerify(b *testing.B) {
	three, _ := chain(b, plain, 3)
	full, _ := chain(b, plain, arc.MaxSets)
	zone := keyZone(b, arc.MaxSets)
	for _, test := range []struct{ name, msg string }{
		{"3 sets", three},
		{"50 sets", full},
		{"50 sets, newest broken", strings.Replace(full, "We lost", "We won!", 1)},
		{"50 forged sets", forgedChain(b, plain)},
	} {
		b.Run(test.name, func(b *testing.B) {
			p := split(b, test.msg)
			b.ReportAllocs()
			asked := 0
			for b.Loop() {
				body := &message.Body{}
				v := arc.Begin(dkim.Options{}, &dkim.Input{Header: p.header, Index: p.index, Body: body, Now: now})
				keys := map[arc.KeyName][]*dkim.Key{}
				v.CheckHeader(func(n arc.KeyName) ([]*dkim.Key, error) {
					if keys[n] == nil {
						asked++
						found, err := dkim.LookupKeys(ctx, zone, n.Selector, n.Domain)
						if err != nil {
							return nil, err
						}
						keys[n] = found
					}
					return keys[n], nil
				})
				_, _ = body.Write(p.body)
				v.Result(body)
			}
			b.ReportMetric(float64(asked)/float64(b.N), "keys/op")
		})
	}
}

// BenchmarkSeal measures what it costs to make a set, including its signatures.
func BenchmarkSeal(b *testing.B) {
	for _, name := range []string{"rsa2048", "ed25519"} {
		b.Run(name, func(b *testing.B) {
			p := split(b, plain)
			body := &message.Body{}
			body.Want(arc.SealDigest())
			_, _ = body.Write(p.body)
			in := &arc.SealInput{
				Header: p.header, Index: p.index, BodyHash: body.Sum(arc.SealDigest()),
				Chain: &arc.Result{Status: arc.None}, AuthservID: "mx.example", At: now,
			}
			s := &arc.Sealer{Domain: "hop.example", Selector: name, Key: key(b, name)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Seal(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
