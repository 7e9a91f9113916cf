package milter

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

// TestEndOfMessageLimit checks that a message whose keys are late gets its results
// in time, and that the next message gets its own.
func TestEndOfMessageLimit(t *testing.T) {
	zone := dnstest.MustParse(t, exampleZone+"$TIMEOUT "+edKey+"\n$TIMEOUT "+rsaKey+"\n")
	// Nothing else ends the wait.
	client := dns.New(dns.Config{Servers: []string{dnstest.Serve(t, zone)}, Timeout: 3 * patience})
	r := start(t, options{
		resolver: client,
		set:      func(s *Settings) { s.EndOfMessage = 100 * time.Millisecond },
		verify:   func(o *verify.Options) { o.LookupTime = 3 * patience },
	})
	s := r.dial()
	late, next := example(t), unsigned()
	late.from = "" // nothing but the signatures aligns
	r.open(s, late)
	r.envelope(s, late)
	r.header(s, late)
	begun := time.Now()
	value := r.value(r.finish(s, late))
	if took := time.Since(begun); took > patience {
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
	if v := r.seen.list()[0]; v.EndOfMessage < 100*time.Millisecond || v.EndOfMessage > patience {
		t.Errorf("EndOfMessage is %v", v.EndOfMessage)
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
	if waited := time.Since(begun); waited > progressEvery+patience {
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

// leaving is an observer that ends the connection of a message before its reply.
type leaving struct{ conn *net.TCPConn }

func (l *leaving) Observe(*policy.Verdict) {
	if l.conn != nil {
		_ = l.conn.SetLinger(0) // with a reset
		_ = l.conn.Close()
	}
}

// TestReplyLost checks that an MTA that goes away before the reply is counted once,
// and one that goes away after it is not.
func TestReplyLost(t *testing.T) {
	l := &leaving{}
	r := start(t, options{observers: []policy.Observer{l}})
	ended := func() bool { return r.count.get().open == 0 }
	w := r.wire()
	w.send(messageFrames(example(t)))
	if _, final := w.verdict(); final != 'a' {
		t.Errorf("reply %q", final)
	}
	w.Close()
	eventually(t, "the first connection ends", ended)
	if got := r.count.get().errors; len(got) != 0 {
		t.Errorf("gone after the reply: errors in %q", got)
	}
	w = r.wire()
	l.conn = w.Conn.(*net.TCPConn)
	w.send(messageFrames(example(t)))
	eventually(t, "the second connection ends", ended)
	if got, want := r.count.get().errors, []string{string(StageAnswer)}; !slices.Equal(got, want) {
		t.Errorf("gone before the reply: errors in %q, want %q", got, want)
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

// TestGivenUp checks that anything that ends a message early ends its look-ups.
func TestGivenUp(t *testing.T) {
	g := newGate(t, "football.example.com", "_dmarc.football.example.com", edKey, rsaKey)
	r := start(t, options{resolver: g, set: func(s *Settings) { s.EndOfMessage = time.Minute }})
	r.deliver(mail{client: "192.0.2.1", helo: "x", macros: map[string]string{"{auth_type}": "PLAIN"}, body: "x"}) // starts the goroutines that stay
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

// TestPanicStaysWithinItsMessage makes look-ups panic: the message gets temporary
// errors, and the connection continues.
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
				t.Errorf("%d panics counted for 2 messages and an aborted one", n)
			}
			if got, want := r.count.get().errors, []string{string(StageVerify), string(StageVerify)}; !slices.Equal(got, want) {
				t.Errorf("errors in %q, want %q", got, want)
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
		t.Errorf("the other observer saw %d messages", n)
	}
	if got, want := r.count.get().errors, []string{string(StageObserve), string(StageObserve)}; !slices.Equal(got, want) {
		t.Errorf("errors in %q, want %q", got, want)
	}
	if n := r.count.get().panics; n != 2 {
		t.Errorf("%d panics counted", n)
	}
}

// TestPanicOfOurs makes our code panic at every step of a message that a test can
// reach, by removing what the code needs.
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

// TestTwoPanics makes a look-up panic and then a field of the same message: the
// first panic surfaces while the second is handled.
func TestTwoPanics(t *testing.T) {
	g := newGate(t, "football.example.com")
	g.panics = true
	r := start(t, options{resolver: g, set: func(s *Settings) { s.Claimant = nil }})
	s := r.dial()
	m := unsigned()
	m.fields = append(m.fields, field{resultsName, " mx.example.org; none"})
	r.open(s, m)
	r.envelope(s, m)
	eventually(t, "the look-up panics", func() bool { return g.held() == 1 })
	r.header(s, m)
	if acts := r.finish(s, m); len(acts) != 2 || strings.Count(r.value(acts), "temperror") != 3 {
		t.Errorf("changes %q", acts)
	}
	if n := r.count.get().panics; n != 2 {
		t.Errorf("%d panics counted", n)
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
