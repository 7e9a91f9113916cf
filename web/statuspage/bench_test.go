package statuspage

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func BenchmarkObserve(b *testing.B) {
	for _, test := range []struct {
		name   string
		sender int
		mode   Privacy
	}{
		{"pass", 0, Full}, {"list", 2, Full}, {"reject", 3, Full}, {"own", 7, Full}, {"anonymous", 2, Anonymous}, {"off", 2, Off},
	} {
		b.Run(test.name, func(b *testing.B) {
			p := New(Config{Privacy: test.mode})
			v := senders[test.sender].verdict(newRand(), time.Now())
			b.ReportAllocs()
			for b.Loop() {
				p.Observe(v)
			}
		})
	}
	// Each message fails for a different domain.
	b.Run("flood", func(b *testing.B) {
		p := New(Config{})
		v := senders[3].verdict(newRand(), time.Now())
		var names [1000]string
		for i := range names {
			names[i] = strconv.Itoa(i) + strings.Repeat("x", 200) + ".example"
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			v.Result.DMARC.Author = names[i%len(names)]
			i++
			p.Observe(v)
		}
	})
}

func BenchmarkDNSQuery(b *testing.B) {
	p := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		p.DNSQuery("TXT", "NOERROR", time.Millisecond)
	}
}

func BenchmarkRender(b *testing.B) {
	p := filled(Full)
	b.ReportAllocs()
	for b.Loop() {
		get(b, p)
	}
}

// BenchmarkSnapshot measures how long making a page keeps everything else from being
// counted.
func BenchmarkSnapshot(b *testing.B) {
	p := filled(Full)
	for i := range 100000 {
		p.recorder.talkers.at(p.now()).add(failure{domain: strconv.Itoa(i % 1000), client: address(i)})
	}
	b.ReportAllocs()
	for b.Loop() {
		p.snapshot()
	}
}
