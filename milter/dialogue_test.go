package milter

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"authmilter/policy"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/spf"
)

// messageParts holds the packets of a message, by command.
type messageParts struct {
	mail, from, header, endHeader, body, end []byte
}

func partsOf(m mail) messageParts {
	p := messageParts{
		mail:      frame(cmdMail, "<"+m.from+">\x00"),
		endHeader: frame(cmdEndHeader, ""), body: frame(cmdBody, m.body), end: frame(cmdEndMessage, ""),
	}
	for i, f := range m.fields {
		packet := frame(cmdHeader, f.name+"\x00"+f.value+"\x00")
		p.header = append(p.header, packet...)
		if i == 0 {
			p.from = packet
		}
	}
	return p
}

func (p messageParts) whole() []byte {
	return slices.Concat(p.mail, p.header, p.endHeader, p.body, p.end)
}

// TestPeerOutOfOrder sends sequences that no MTA sends. A message is either judged
// in full or deferred, counted and logged. In any case the connection continues,
// nothing panics, and the next message is judged.
func TestPeerOutOfOrder(t *testing.T) {
	signed := example(t)
	p := partsOf(signed)
	whole := p.whole()
	m, f, h, n, b, e := p.mail, p.from, p.header, p.endHeader, p.body, p.end
	rcpt, data := frame(cmdRcpt, "<a@b>\x00"), frame(cmdData, "")
	abort := frame(cmdAbort, "")
	const (
		judged   = "a"
		deferred = "t"
	)
	for _, test := range []struct {
		name   string
		frames [][]byte
		// ends are the replies that end a message: the reply to its end, or a
		// deferral in reply to a body chunk.
		ends string
	}{
		{"nothing before the message", [][]byte{whole}, judged},
		{"end right after MAIL", [][]byte{m, e}, judged},
		{"end without the end of the header", [][]byte{m, f, e}, judged},
		{"end of the header twice", [][]byte{m, h, n, n, n, b, e}, judged},
		{"body without the end of the header", [][]byte{m, h, b, e}, judged},
		{"body without a header", [][]byte{m, b, e}, judged},
		{"RCPT before every field", [][]byte{m, rcpt, rcpt, data, h, n, b, e}, judged},
		{"MAIL twice", [][]byte{m, m, f, m, n, whole}, judged},
		{"two messages in a row", [][]byte{whole, whole}, judged + judged},
		{"abort twice", [][]byte{m, f, abort, abort, whole}, judged},
		{"abort without a message", [][]byte{abort, whole}, judged},
		{"unknown commands within a message", [][]byte{m, frame(cmdUnknown, "VRFY\x00"), h, frame(cmdUnknown, "VRFY\x00"), n, b, e}, judged},
		{"macros for an abort, then an abort", [][]byte{m, h, frame(cmdMacro, "Ai\x00x\x00"), abort, n, b, e}, deferred + deferred},

		{"end without a message", [][]byte{e}, deferred},
		{"end of the header without a message", [][]byte{n, e}, deferred},
		{"body without a message", [][]byte{b, e}, deferred + deferred},
		{"field without a message", [][]byte{f, n, e}, deferred},
		{"end twice", [][]byte{whole, e}, judged + deferred},
		{"everything except MAIL", [][]byte{h, n, b, e}, deferred + deferred},
		{"RCPT and DATA without a message", [][]byte{rcpt, data, h, n, b, e}, deferred + deferred},
		{"after an abort", [][]byte{m, f, abort, h, n, b, e}, deferred + deferred},
		{"after two aborts", [][]byte{m, f, abort, abort, h, n, b, e}, deferred + deferred},
		{"body before the end of the header", [][]byte{m, f, b, n, e}, deferred},
		{"field after the end of the header", [][]byte{m, f, n, f, n, b, e}, deferred + deferred},
		{"field after the body", [][]byte{m, h, n, b, f, n, e}, deferred},
		{"RCPT late", [][]byte{m, f, rcpt, n, e}, deferred},
		{"DATA late", [][]byte{m, f, data, h, n, b, e}, deferred + deferred},
		{"HELO within a message", [][]byte{m, f, frame(cmdHelo, "x\x00"), n, e}, deferred},
		{"CONNECT within a message", [][]byte{m, f, frame(cmdConnect, "x\x004\x00\x19192.0.2.1\x00"), n, e}, deferred},
		{"another session within a message", [][]byte{m, f, frame(cmdQuitNew, ""), n, e}, deferred},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			r := start(t, options{log: slog.New(slog.NewTextHandler(&log, nil))})
			w := r.wire()
			w.send(frame(cmdConnect, "x\x004\x00\x19192.0.2.1\x00"))
			w.send(test.frames...)
			for _, want := range test.ends {
				if got := w.answer(); got != byte(want) {
					t.Fatalf("reply %q, want %q", got, want)
				}
			}
			before := len(r.seen.list())
			if judged := strings.Count(test.ends, "a"); before != judged {
				t.Errorf("%d verdicts, want %d", before, judged)
			}
			lost := 0
			if strings.Contains(test.ends, deferred) {
				lost = 1
			}
			got := r.count.get()
			if want := slices.Repeat([]string{string(NoMessage)}, lost); got.panics != 0 || !slices.Equal(got.violations, want) {
				t.Errorf("%d panics, violations %v, want %v", got.panics, got.violations, want)
			}
			if text := log.String(); strings.Count(text, "reason=no_message") != lost || lost > 0 && !strings.Contains(text, "peer="+w.LocalAddr().String()) {
				t.Errorf("logged:\n%s", text)
			}
			w.send(abort, frame(cmdConnect, "x\x004\x00\x19192.0.2.1\x00"), frame(cmdHelo, "x\x00"), whole)
			if changes, final := w.verdict(); changes != 1 || final != 'a' {
				t.Errorf("next message: %d changes, then %q", changes, final)
			}
			if v := r.seen.list()[before:]; len(v) != 1 || v[0].Result.DMARC.Status != dmarc.Pass || v[0].Result.DKIM[0].Status != dkim.Pass {
				t.Errorf("next message: %+v", v)
			}
		})
	}
}

// TestMacrosOfAnotherStage sends macros for every command at every place of a
// message. The message is still judged, and macros sent in time are known at its
// end.
func TestMacrosOfAnotherStage(t *testing.T) {
	m := example(t)
	m.fields = append(m.fields, forgedFields()...)
	p := partsOf(m)
	steps := [][]byte{
		frame(cmdConnect, "x\x004\x00\x19192.0.2.1\x00"), frame(cmdHelo, "mx.football.example.com\x00"),
		p.mail, frame(cmdRcpt, "<a@b.example>\x00"), frame(cmdData, ""), p.header, p.endHeader, p.body, p.end,
	}
	r := start(t, options{})
	for _, command := range "CHMRTLNBEUAQKOD?" {
		for at := range len(steps) {
			before := len(r.seen.list())
			w := r.wire()
			w.send(slices.Insert(slices.Clone(steps), at, frame(cmdMacro, string(command)+"i\x004XYZ\x00"))...)
			if changes, final := w.verdict(); changes != len(forgedRemoved)+1 || final != 'a' {
				t.Errorf("macros for %q before step %d: %d changes, then %q", command, at, changes, final)
			}
			v := r.seen.list()[before:]
			if len(v) != 1 || v[0].Removed.Total() != len(forgedRemoved) || v[0].Result.DKIM[0].Status != dkim.Pass {
				t.Errorf("macros for %q before step %d: %+v", command, at, v)
				continue
			}
			// HELO discards all macros of a message.
			if command == cmdEndMessage && at > 1 && v[0].QueueID != "4XYZ" {
				t.Errorf("macros for the end before step %d: queue ID %q", at, v[0].QueueID)
			}
		}
	}
	if got := r.count.get(); got.panics != 0 || len(got.violations) != 0 {
		t.Errorf("%d panics, violations %v", got.panics, got.violations)
	}
}

// TestMacrosOfAnotherMessage checks that the macros of one message are not used for
// another: neither its queue ID nor its authenticated user.
func TestMacrosOfAnotherMessage(t *testing.T) {
	p := partsOf(example(t))
	for _, between := range [][]byte{frame(cmdAbort, ""), frame(cmdHelo, "x\x00"), frame(cmdQuitNew, ""), p.end} {
		r := start(t, options{})
		w := r.wire()
		w.send(p.mail, p.header,
			frame(cmdMacro, "Ei\x00first\x00"), frame(cmdMacro, "M{auth_authen}\x00joe\x00"), between, p.whole())
		messages := 1
		if bytes.Equal(between, p.end) {
			messages = 2
		}
		for range messages {
			if _, final := w.verdict(); final != 'a' {
				t.Errorf("final reply %q", final)
			}
		}
		v := r.seen.list()
		if len(v) != messages || v[messages-1].QueueID != "" || v[messages-1].Skip != policy.NotSkipped {
			t.Errorf("after %q: %d verdicts, %+v", between, len(v), v)
		}
	}
}

// TestMacrosOfTheNextMessage checks that macros for MAIL count even if the MTA does
// not end the message before.
func TestMacrosOfTheNextMessage(t *testing.T) {
	p := partsOf(example(t))
	r := start(t, options{})
	w := r.wire()
	w.send(p.mail, p.header, frame(cmdMacro, "Mi\x00second\x00{auth_authen}\x00joe\x00"), p.whole())
	if _, final := w.verdict(); final != 'a' {
		t.Errorf("final reply %q", final)
	}
	if v := r.seen.list(); len(v) != 1 || v[0].QueueID != "second" || v[0].Skip != policy.Authenticated {
		t.Errorf("%+v", v)
	}
}

// TestStrayIsLoggedWithItsQueueID checks that a deferred message can be found in the
// MTA's log.
func TestStrayIsLoggedWithItsQueueID(t *testing.T) {
	var log bytes.Buffer
	r := start(t, options{log: slog.New(slog.NewTextHandler(&log, nil))})
	p := partsOf(example(t))
	w := r.wire()
	w.send(frame(cmdMacro, "Ni\x004XYZ\x00"), p.endHeader, p.end)
	if got := w.answer(); got != 't' {
		t.Errorf("reply %q", got)
	}
	if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "queue_id=4XYZ") {
		t.Errorf("logged:\n%s", text)
	}
}

// TestNothingFallsThrough sends random commands. Each message is either judged and
// shown to the observers, or deferred and counted; none is accepted without a trace.
// Every expected reply comes, and no other.
func TestNothingFallsThrough(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	p := partsOf(unsigned())
	packets := [][]byte{
		frame(cmdConnect, "x\x004\x00\x19192.0.2.1\x00"), frame(cmdHelo, "x\x00"), p.mail, p.mail, frame(cmdRcpt, "<a@b>\x00"),
		frame(cmdData, ""), p.from, p.from, p.from, p.endHeader, p.endHeader, p.body, p.body, p.end, p.end, frame(cmdEndMessage, "x\r\n"),
		frame(cmdAbort, ""), frame(cmdQuitNew, ""), frame(cmdUnknown, "X\x00"),
	}
	for _, command := range "CHMRTLNBEUA" {
		packets = append(packets, frame(cmdMacro, string(command)+"i\x00x\x00"))
	}
	r := start(t, options{})
	accepted, deferred := 0, 0
	for range 1000 {
		w := r.wire()
		counted := len(r.count.get().violations)
		var sent []string
		for range 1 + rnd.IntN(40) {
			packet := packets[rnd.IntN(len(packets))]
			sent = append(sent, string(packet[lengthSize:min(len(packet), lengthSize+2)]))
			w.send(packet)
			if command := packet[lengthSize]; command != cmdBody && command != cmdEndMessage {
				continue
			}
			code, _ := w.reply()
			for code == 'i' || code == 'm' {
				code, _ = w.reply()
			}
			switch end := packet[lengthSize] == cmdEndMessage; {
			case code == 'a' && end:
				accepted++
			case code == 't':
				deferred++
				if len(r.count.get().violations) == counted {
					t.Fatalf("%q: deferred but not counted", sent)
				}
			case (code == 'c' || code == 's') && !end:
			default:
				t.Fatalf("%q: reply %q", sent, code)
			}
			if judged := len(r.seen.list()); judged != accepted {
				t.Fatalf("%q: %d messages accepted, %d judged", sent, accepted, judged)
			}
		}
		_ = w.Close()
	}
	if accepted == 0 || deferred == 0 {
		t.Errorf("%d accepted, %d deferred: the test needs both", accepted, deferred)
	}
	if got := r.count.get(); got.panics != 0 {
		t.Errorf("%d panics", got.panics)
	}
}

// TestLastBodyChunk checks that octets in the packet that ends a message are the
// last of its body, wherever the body is split.
func TestLastBodyChunk(t *testing.T) {
	m := example(t)
	p := partsOf(m)
	r := start(t, options{})
	for cut := range len(m.body) + 1 {
		w := r.wire()
		packets := slices.Concat(p.mail, p.header, p.endHeader)
		if cut > 0 {
			packets = append(packets, frame(cmdBody, m.body[:cut])...)
		}
		last := slices.Concat(frame(cmdMacro, "Ei\x004XYZ\x00"), frame(cmdEndMessage, m.body[cut:]))
		// Twice, to check the state after such a message.
		w.send(frame(cmdConnect, "x\x004\x00\x19192.0.2.1\x00"), frame(cmdHelo, m.helo+"\x00"), packets, last, packets, last)
		for range 2 {
			want := "ia"
			if cut > 0 {
				want = "cia"
			}
			var got []byte
			for len(got) < len(want) {
				code, _ := w.reply()
				got = append(got, code)
			}
			if string(got) != want {
				t.Fatalf("cut at %d: replies %q, want %q", cut, got, want)
			}
		}
		_ = w.Close()
	}
	for _, v := range r.seen.list() {
		if len(v.Result.DKIM) != 2 || v.Result.DKIM[0].Status != dkim.Pass || v.Result.DKIM[1].Status != dkim.Pass || v.Result.Size != int64(len(m.body)) {
			t.Fatalf("%d octets, %+v", v.Result.Size, v.Result.DKIM)
		}
	}
	if v := r.count.get().violations; len(v) != 0 {
		t.Errorf("violations %v", v)
	}
}

// TestLastBodyChunkIsBounded sends the largest packet allowed to end a message, and
// a larger one.
func TestLastBodyChunkIsBounded(t *testing.T) {
	r := start(t, options{})
	p := partsOf(unsigned())
	w := r.wire()
	w.send(p.mail, p.header, p.endHeader, frame(cmdEndMessage, strings.Repeat("x", maxFrame-1)))
	if _, final := w.verdict(); final != 'a' {
		t.Errorf("final reply %q", final)
	}
	w.send(p.mail, p.header, p.endHeader, frame(cmdEndMessage, strings.Repeat("x", maxFrame))[:100])
	if code := w.answer(); code != 0 {
		t.Errorf("reply %q", code)
	}
	if v := r.count.get().violations; !slices.Equal(v, []string{string(PacketTooLarge)}) {
		t.Errorf("violations %v", v)
	}
}

// TestUnreadableAddress checks that a client address that cannot be read costs the
// SPF result, but not the connection.
func TestUnreadableAddress(t *testing.T) {
	m := example(t)
	p := partsOf(m)
	for _, test := range []struct {
		name, payload string
		readable      bool
		clientName    string
	}{
		{"nothing", "", false, ""},
		{"a name without its NUL", "host", false, "host"},
		{"no family", "host\x00", false, "host"},
		{"an unknown family", "host\x00Z\x00\x19192.0.2.1\x00", false, "host"},
		{"a family in lower case", "host\x00l\x00\x00/run/x\x00", false, "host"},
		{"no port", "host\x004", false, "host"},
		{"half a port", "host\x004\x00", false, "host"},
		{"no address", "host\x004\x00\x19", false, "host"},
		{"an empty address", "host\x004\x00\x19\x00", false, "host"},
		{"text", "host\x004\x00\x19localhost\x00", false, "host"},
		{"an address and more", "host\x004\x00\x19192.0.2.1 x\x00", false, "host"},
		{"a mask", "host\x004\x00\x19192.0.2.1/24\x00", false, "host"},
		{"three numbers", "host\x004\x00\x19192.0.2\x00", false, "host"},
		{"IPv6 as IPv4", "host\x004\x00\x192001:db8::1\x00", false, "host"},
		{"an empty IPv6 address", "host\x006\x00\x19\x00", false, "host"},
		{"brackets around nothing", "host\x006\x00\x19[]\x00", false, "host"},
		{"a zone", "host\x006\x00\x19fe80::1%eth0\x00", false, "host"},
		{"octets", "host\x006\x00\x19\xff\xfe\x00", false, "host"},
		{"UTF-8 digits", "host\x004\x00\x19\u0661.2.3.4\x00", false, "host"},

		{"without the last NUL", "host\x004\x00\x19192.0.2.1", true, "host"},
		{"more after the last NUL", "host\x004\x00\x19192.0.2.1\x00x", true, "host"},
		{"IPv4 as IPv6", "host\x006\x00\x19192.0.2.1\x00", true, "host"},
		{"IPv4 in IPv6", "host\x004\x00\x19::ffff:192.0.2.1\x00", true, "host"},
		{"brackets", "host\x006\x00\x19[2001:db8::1]\x00", true, "host"},
		{"as Sendmail writes it", "host\x006\x00\x19IPv6:2001:db8::1\x00", true, "host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			r := start(t, options{log: slog.New(slog.NewTextHandler(&log, nil))})
			w := r.wire()
			w.send(frame(cmdConnect, test.payload), frame(cmdHelo, m.helo+"\x00"), p.whole())
			if changes, final := w.verdict(); changes != 1 || final != 'a' {
				t.Fatalf("%d changes, then %q", changes, final)
			}
			wantSPF, wantCount := spf.Pass, []string(nil)
			if !test.readable {
				wantSPF, wantCount = spf.None, []string{string(UnreadableAddress)}
			}
			v := r.seen.list()[0]
			if v.Result.SPF.Status != wantSPF || v.Envelope.ClientIP.IsValid() != test.readable || v.Envelope.ClientName != test.clientName {
				t.Errorf("spf=%s, %+v", v.Result.SPF.Status, v.Envelope)
			}
			if got := r.count.get().violations; !slices.Equal(got, wantCount) {
				t.Errorf("violations %v, want %v", got, wantCount)
			}
			if strings.Contains(log.String(), "unreadable_address") == test.readable {
				t.Errorf("logged:\n%s", log.String())
			}
		})
	}
}

// TestUnreadableAddressWithAMacro checks that the macro is used if the address
// cannot be read.
func TestUnreadableAddressWithAMacro(t *testing.T) {
	m := example(t)
	r := start(t, options{})
	w := r.wire()
	w.send(frame(cmdMacro, "C{client_addr}\x00192.0.2.1\x00"), frame(cmdConnect, "host\x004\x00\x19?\x00"),
		frame(cmdHelo, m.helo+"\x00"), partsOf(m).whole())
	w.verdict()
	if v := r.seen.list(); len(v) != 1 || v[0].Result.SPF.Status != spf.Pass {
		t.Errorf("%+v", v)
	}
}
