package milter

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

// TestEndOfMessageLimit holds that a message whose keys are late gets its
// results in time, and the next one its own.
func TestEndOfMessageLimit(t *testing.T) {
	zone := dnstest.MustParse(t, exampleZone+"$DELAY 3s "+edKey+"\n$DELAY 3s "+rsaKey+"\n")
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, zone)}})
	r := start(t, options{resolver: client, set: func(s *Settings) { s.EndOfMessage = 100 * time.Millisecond }})
	s := r.dial()
	late, next := example(t), unsigned()
	late.from = "" // nothing but the signatures aligns
	r.open(s, late)
	r.envelope(s, late)
	r.header(s, late)
	begun := time.Now()
	value := r.value(r.finish(s, late))
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	if strings.Count(value, "dkim=temperror") != 2 || !strings.Contains(value, "dmarc=temperror") {
		t.Errorf("results %s", value)
	}
	r.envelope(s, next)
	r.header(s, next)
	if value := r.value(r.finish(s, next)); !strings.Contains(value, "dkim=none") || !strings.Contains(value, "dmarc=pass") {
		t.Errorf("next message: %s", value)
	}
	if v := r.seen.list()[0]; v.EndOfMessage < 100*time.Millisecond || v.EndOfMessage > 2*time.Second {
		t.Errorf("told to have waited %v", v.EndOfMessage)
	}
}

func TestProgressWhileWaiting(t *testing.T) {
	g := newGate(t, edKey, rsaKey)
	r := start(t, options{resolver: g})
	w := r.wire()
	w.send(messageFrames(example(t)))
	begun := time.Now()
	for got := byte(0); got != replyProgress; {
		if got, _ = w.reply(); got != 'c' && got != replyProgress {
			t.Fatalf("reply %q while the keys are awaited", got)
		}
	}
	if waited := time.Since(begun); waited > progressEvery+2*time.Second {
		t.Errorf("progress after %v", waited)
	}
	close(g.opened)
	if changes, final := w.verdict(); changes != 1 || final != 'a' {
		t.Errorf("%d changes, then %q", changes, final)
	}
	if v := r.seen.list(); len(v) != 1 || v[0].Result.DKIM[0].Status != dkim.Pass {
		t.Errorf("verdicts %+v", v)
	}
}

// messageFrames is a whole SMTP session with one message.
func messageFrames(m mail) []byte {
	b := slices.Concat(
		frame(cmdConnect, "client.example.net\x004\x00\x19"+m.client+"\x00"),
		frame(cmdHelo, m.helo+"\x00"), frame(cmdMail, "<"+m.from+">\x00"), frame(cmdRcpt, "<b@example.org>\x00"))
	for _, f := range m.fields {
		b = append(b, frame(cmdHeader, f.name+"\x00"+f.value+"\x00")...)
	}
	return slices.Concat(b, frame(cmdEndHeader, ""), frame(cmdBody, m.body), frame(cmdEndMessage, ""))
}

// TestGivenUp holds that whatever ends a message early ends its look-ups.
func TestGivenUp(t *testing.T) {
	g := newGate(t, "football.example.com", "_dmarc.football.example.com", edKey, rsaKey)
	r := start(t, options{resolver: g, set: func(s *Settings) { s.EndOfMessage = time.Minute }})
	r.deliver(mail{client: "192.0.2.1", helo: "x", macros: map[string]string{"{auth_type}": "PLAIN"}, body: "x"}) // starts what stays
	check := noLeak(t)
	whole := messageFrames(example(t))
	for _, test := range []struct {
		name string
		sent []byte
		held int
		end  func(*wire)
	}{
		{"ABORT after MAIL", whole[:bytes.Index(whole, []byte("<b@"))-lengthSize-1], 1, func(w *wire) { w.send(frame(cmdAbort, "")) }},
		{"ABORT within the body", whole[:len(whole)-lengthSize-1], 4, func(w *wire) { w.send(frame(cmdAbort, "")) }},
		{"another session", whole[:len(whole)-lengthSize-1], 4, func(w *wire) { w.send(frame(cmdQuitNew, "")) }},
		{"QUIT", whole[:len(whole)-lengthSize-1], 4, func(w *wire) { w.send(frame(cmdQuit, "")) }},
		{"connection lost", whole[:len(whole)-lengthSize-1], 4, func(w *wire) { w.Close() }},
		{"connection lost within a packet", whole[:len(whole)-lengthSize-3], 4, func(w *wire) { w.Close() }},
		{"protocol broken", whole[:len(whole)-lengthSize-1], 4, func(w *wire) { w.send([]byte{0, 0, 0, 0}) }},
		{"HELO", whole[:len(whole)-lengthSize-1], 4, func(w *wire) { w.send(frame(cmdHelo, "x\x00")) }},
	} {
		w := r.wire()
		w.send(test.sent)
		eventually(t, test.name+": look-ups begin", func() bool { return g.held() == test.held })
		test.end(w)
		eventually(t, test.name+": look-ups end", func() bool { return g.held() == 0 && r.inFlight.Load() == 0 })
		w.Close()
	}
	check()
	if n := len(r.seen.list()); n != 1 {
		t.Errorf("%d verdicts", n)
	}
	if n := r.count.get().panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestPanicStaysWithinItsMessage has look-ups panic, at whose ends the message
// has temporary errors, and the connection goes on.
func TestPanicStaysWithinItsMessage(t *testing.T) {
	for _, name := range []string{"football.example.com", "_dmarc.football.example.com", edKey} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, name)
			g.panics = true
			r := start(t, options{resolver: g})
			s := r.dial()
			m, next := example(t), unsigned()
			m.fields = append(forgedFields(), m.fields...)
			r.open(s, m)
			for range 2 {
				r.envelope(s, m)
				r.header(s, m)
				acts := r.finish(s, m)
				const want = `" mx.example.org;\n\tdkim=temperror reason=\"internal error\";\n` +
					`\tspf=temperror reason=\"internal error\"\n\tsmtp.mailfrom=joe@football.example.com\n` +
					`\tsmtp.helo=mx.football.example.com;\n\tdmarc=temperror reason=\"internal error\""`
				if value := r.value(acts); value != want {
					t.Errorf("results %s, want %s", value, want)
				}
				if !slices.Equal(acts[:len(acts)-1], forgedRemoved) {
					t.Errorf("forged fields: %q", acts)
				}
			}
			r.envelope(s, m)
			r.header(s, m)
			eventually(t, "the look-up of the third message", func() bool { return g.held() == 3 })
			if err := s.Abort(nil); err != nil {
				t.Fatal(err)
			}
			next.from, next.fields = "", []field{{"From", " a@example.net"}}
			r.envelope(s, next)
			r.header(s, next)
			if value := r.value(r.finish(s, next)); strings.Contains(value, "temperror") {
				t.Errorf("next message: %s", value)
			}
			if n := r.count.get().panics; n != 3 {
				t.Errorf("%d panics counted, of 2 messages and one given up", n)
			}
			for _, v := range r.seen.list()[:2] {
				if v.Decision.Disposition != policy.None || v.Result.DMARC.Status != dmarc.TempError {
					t.Errorf("verdict %+v", v)
				}
			}
		})
	}
}

// broken is an observer that panics.
type broken struct{}

func (broken) Observe(*policy.Verdict) { panic("observer") }

func TestPanicOfAnObserver(t *testing.T) {
	r := start(t, options{observers: []policy.Observer{broken{}}})
	for range 2 {
		if acts := r.deliver(example(t)); len(acts) != 1 || strings.Contains(acts[0], "temperror") {
			t.Errorf("changes %q", acts)
		}
	}
	if n := len(r.seen.list()); n != 2 {
		t.Errorf("the other observer was told of %d messages", n)
	}
	if n := r.count.get().panics; n != 2 {
		t.Errorf("%d panics counted", n)
	}
}

// TestPanicOfOurs has code of ours panic at every step of a message that a test
// can reach, by taking away what it needs.
func TestPanicOfOurs(t *testing.T) {
	for _, test := range []struct {
		name   string
		break_ func(*Settings)
		want   int // panics
	}{
		{"verifier", func(s *Settings) { s.Verifier = nil }, 1},
		{"claimant", func(s *Settings) { s.Claimant = nil }, len(forgedFields()) / 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, options{set: test.break_})
			m := example(t)
			m.fields = append(forgedFields(), m.fields...)
			acts := r.deliver(m)
			if value := r.value(acts); strings.Count(value, "temperror") != 3 {
				t.Errorf("results %s", value)
			}
			for _, forged := range forgedRemoved {
				if !slices.Contains(acts, forged) {
					t.Errorf("passed: %s", forged)
				}
			}
			if n := r.count.get().panics; n != test.want {
				t.Errorf("%d panics counted, want %d", n, test.want)
			}
		})
	}
}

func TestTooManyMessages(t *testing.T) {
	g := newGate(t, "football.example.com")
	r := start(t, options{resolver: g, set: func(s *Settings) { s.MaxMessages = 1 }})
	w := r.wire()
	whole := messageFrames(unsigned())
	cut := len(whole) - lengthSize - 1
	w.send(whole[:cut])
	eventually(t, "the first message begins", func() bool { return g.held() == 1 })
	m := unsigned()
	m.fields = append(forgedFields(), m.fields...)
	if acts := r.deliver(m); !slices.Equal(acts, forgedRemoved) {
		t.Errorf("second message: %q", acts)
	}
	if v := r.seen.list(); len(v) != 1 || v[0].Skip != policy.Overload || v[0].Result != nil {
		t.Errorf("verdicts %+v", v)
	}
	close(g.opened)
	w.send(whole[cut:])
	if changes, final := w.verdict(); changes != 1 || final != 'a' {
		t.Errorf("first message: %d changes, then %q", changes, final)
	}
	r.deliver(m)
	if v := r.seen.list()[2]; v.Skip != policy.NotSkipped || v.Result.SPF.Status != spf.Pass {
		t.Errorf("third message: %+v", v)
	}
}

func TestReloadWhileAMessageIsOnItsWay(t *testing.T) {
	r := start(t, options{})
	s := r.dial()
	m := unsigned()
	r.open(s, m)
	r.envelope(s, m)
	eventually(t, "the message begins", func() bool { return r.inFlight.Load() == 1 })
	changed := *r.settings.Load()
	changed.AuthservID = "other.example.org"
	r.Set(&changed)
	r.header(s, m)
	if value := r.value(r.finish(s, m)); !strings.Contains(value, "mx.example.org;") {
		t.Errorf("begun before: %s", value)
	}
	r.envelope(s, m)
	r.header(s, m)
	if value := r.value(r.finish(s, m)); !strings.Contains(value, "other.example.org;") {
		t.Errorf("begun after: %s", value)
	}
}

func TestShutdown(t *testing.T) {
	check := noLeak(t)
	g := newGate(t, edKey)
	r := start(t, options{resolver: g})
	idle, between, busy := r.wire(), r.wire(), r.wire()
	between.send(messageFrames(unsigned()))
	between.verdict()
	whole := messageFrames(example(t))
	cut := len(whole) / 2
	busy.send(whole[:cut])
	eventually(t, "a message begins", func() bool { return r.inFlight.Load() == 1 })
	ended := make(chan error)
	go func() { ended <- r.Shutdown(context.Background()) }()
	for _, w := range []*wire{idle, between} {
		if code, _ := w.reply(); code != 0 {
			t.Errorf("reply %q instead of the end of the connection", code)
		}
	}
	if conn, err := net.Dial("tcp", r.addr); err == nil {
		conn.Close()
		t.Error("connections are still taken")
	}
	select {
	case err := <-ended:
		t.Fatalf("ended before its message: %v", err)
	default:
	}
	busy.send(whole[cut:])
	eventually(t, "the key is asked for", func() bool { return g.held() == 1 })
	close(g.opened)
	if changes, final := busy.verdict(); changes != 1 || final != 'a' {
		t.Errorf("%d changes, then %q", changes, final)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if code, _ := busy.reply(); code != 0 {
		t.Errorf("reply %q instead of the end of the connection", code)
	}
	if v := r.seen.list(); len(v) != 2 || v[1].Result.DKIM[0].Status != dkim.Pass {
		t.Errorf("verdicts %+v", v)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Serve(l, "late"); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the late listener is open: %v", err)
	}
	check()
}

func TestShutdownHasItsLimit(t *testing.T) {
	check := noLeak(t)
	r := start(t, options{})
	w := r.wire()
	w.send(messageFrames(example(t))[:200])
	eventually(t, "a message begins", func() bool { return r.inFlight.Load() == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	check()
}

func TestStopOfOneListener(t *testing.T) {
	r := start(t, options{})
	other, _ := r.listen()
	first := *r
	second := *r
	second.addr = other
	idle, busy, elsewhere := first.wire(), first.wire(), second.wire()
	whole := messageFrames(example(t))
	busy.send(whole[:len(whole)/2])
	eventually(t, "a message begins", func() bool { return r.inFlight.Load() == 1 })
	r.Stop(r.listener)
	if code, _ := idle.reply(); code != 0 {
		t.Errorf("reply %q instead of the end of the connection", code)
	}
	for _, w := range []*wire{busy, elsewhere} {
		if w == busy {
			w.send(whole[len(whole)/2:])
		} else {
			w.send(whole)
		}
		if changes, final := w.verdict(); changes != 1 || final != 'a' {
			t.Errorf("%d changes, then %q", changes, final)
		}
	}
	if code, _ := busy.reply(); code != 0 {
		t.Errorf("reply %q instead of the end of the connection", code)
	}
	second.deliver(example(t))
}

// late is a connection on which a message begins just as its listener ends: the
// read is woken in vain.
type late struct {
	*pipe
	g    *guarded
	left int
}

func (c *late) Read(b []byte) (int, error) {
	if c.g.command == cmdMail && c.left > 0 {
		c.left--
		c.g.owner.ending.Store(true)
		return 0, os.ErrDeadlineExceeded
	}
	return c.pipe.Read(b)
}

func TestGuardGoesOnWithAMessageThatJustBegan(t *testing.T) {
	stream := slices.Concat(negotiation, frame(cmdMail, "<a@example.com>\x00"))
	rest := slices.Concat(frame(cmdHeader, "From\x00 a@example.com\x00"), frame(cmdEndHeader, ""), frame(cmdBody, "x"), frame(cmdEndMessage, ""))
	l := newGuardedListener(nil, make(slots, 1), &counter{}, slog.New(slog.DiscardHandler))
	c := &late{pipe: &pipe{in: bytes.NewReader(stream)}, left: 2}
	g := newGuarded(c, l)
	c.g = g
	got := make([]byte, len(stream)+len(rest))
	n := 0
	read := func(until int) {
		for n < until {
			m, err := g.Read(got[n:until])
			if err != nil {
				t.Fatalf("after %d octets: %v", n, err)
			}
			n += m
		}
	}
	read(len(stream))
	c.in = bytes.NewReader(rest)
	read(len(got))
	if c.left != 0 || !bytes.Equal(got, slices.Concat(stream, rest)) {
		t.Errorf("read %q", got)
	}
	if _, err := g.Read(got); !errors.Is(err, errEnded) {
		t.Errorf("after the message: %v", err)
	}
}

// TestSoak sends many messages over many connections, and gives many of them
// up: nothing is left of them.
func TestSoak(t *testing.T) {
	files := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("cannot count open files: %v", err)
		}
		return len(open)
	}
	zone := dnstest.MustParse(t, exampleZone+"$DELAY 5ms "+edKey+"\n")
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, zone)}, CacheEntries: -1})
	r := start(t, options{resolver: client})
	r.deliver(example(t))
	check, before := noLeak(t), files()
	signed, other := example(t), unsigned()
	var senders sync.WaitGroup
	var mu sync.Mutex
	sent := 1
	for n := range 20 {
		senders.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 1))
			s, err := gomilter.NewClient("tcp", r.addr).Session(gomilter.NewMacroBag())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			_, _ = s.Conn("client.example.net", gomilter.FamilyInet, 25, "192.0.2.1")
			_, _ = s.Helo("mx.football.example.com")
			for range 10 {
				m := signed
				if rnd.IntN(2) == 0 {
					m = other
				}
				stop := rnd.IntN(8)
				_, _ = s.Mail(m.from, "")
				_, _ = s.Rcpt("b@example.org", "")
				if stop == 0 {
					_ = s.Abort(nil)
					continue
				}
				_, _ = s.DataStart()
				for _, f := range m.fields {
					_, _ = s.HeaderField(f.name, f.value, nil)
				}
				if stop == 1 {
					_ = s.Abort(nil)
					continue
				}
				_, _ = s.HeaderEnd()
				if stop == 2 {
					return // the connection ends within the message
				}
				acts, action, err := s.BodyReadFrom(strings.NewReader(m.body))
				if err != nil || action.Type != gomilter.ActionAccept || len(acts) != 1 {
					t.Errorf("%v, %v, %v", acts, action, err)
					return
				}
				mu.Lock()
				sent++
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	eventually(t, "all messages end", func() bool { return r.inFlight.Load() == 0 && r.count.get().open == 0 })
	check()
	eventually(t, "all files are closed", func() bool { return files() <= before })
	seen := r.seen.list()
	if len(seen) != sent {
		t.Errorf("%d messages seen, %d sent", len(seen), sent)
	}
	for _, v := range seen {
		if v.Result.DMARC.Status != dmarc.Pass {
			t.Errorf("dmarc=%s (%v)", v.Result.DMARC.Status, v.Result.DMARC.Err)
		}
	}
	if got := r.count.get(); got.panics != 0 || len(got.violations) != 0 {
		t.Errorf("%d panics, violations %v", got.panics, got.violations)
	}
}
