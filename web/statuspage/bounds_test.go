package statuspage

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"authmilter/verify/dmarc"
)

// TestPageSize holds the page to its maximum size.
func TestPageSize(t *testing.T) {
	c := newClock()
	long := strings.Repeat("'", 5000) // each is five octets when escaped
	p := New(Config{Version: long, Now: c.now})
	p.SetState(State{AuthservID: long, Config: strings.Repeat("key = \"value\"\n", 100000)})
	p.ReloadFailed(c.t, errors.New(long))
	for i := range 1000 {
		p.KeyState(long, long, fmt.Sprint(i)+long, long)
	}
	f := filler{names: true, text: func(n int) string { return fmt.Sprint(n) + long }}
	for _, v := range f.verdicts(c.t) {
		if v.Result == nil {
			continue
		}
		v.Result.DKIM = slices.Repeat(v.Result.DKIM, 20)
		for range maxMessages {
			p.Observe(v)
		}
	}
	page := get(t, p)
	t.Logf("%d octets", len(page))
	if len(page) > 3<<20 {
		t.Errorf("%d octets", len(page))
	}
	if n := len(p.keys); n != maxKeys {
		t.Errorf("%d keys", n)
	}
	parse(t, page)
}

// TestMemory holds a Page to the bound in its doc comment.
func TestMemory(t *testing.T) {
	c := newClock()
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	long := strings.Repeat("x", 250)
	f := filler{names: true, text: func(n int) string { return fmt.Sprint(n) + long }}
	verdicts := f.verdicts(c.t)
	v := verdicts[len(verdicts)-1]
	v.Result.DKIM = slices.Repeat(v.Result.DKIM, 10)
	v.Result.DMARC.Status = dmarc.Fail
	const messages = 100_000 // over two days, enough to fill each table many times
	step := 48 * time.Hour / time.Duration(messages)
	before := heap()
	p := New(Config{Now: c.now})
	for i := range messages {
		// All that is new for each message is one large string, as the header is,
		// and the texts are parts of it.
		header := strconv.Itoa(i) + long + long
		v.Envelope.MailFrom, v.QueueID = header[:300], header[:200]
		v.Envelope.ClientIP = address(i)
		v.Result.DMARC.Author = header[:253]
		p.Observe(v)
		if i%10 == 0 {
			p.DNSQuery("TXT", "NOERROR", time.Millisecond)
		}
		c.forward(step)
	}
	grown := heap() - before
	runtime.KeepAlive(p)
	runtime.KeepAlive(v)
	t.Logf("%d KiB", grown>>10)
	if grown > 2<<20 {
		t.Errorf("grown by %d KiB", grown>>10)
	}
	if len(p.recorder.last()) != maxMessages {
		t.Error("messages are missing")
	}
}
