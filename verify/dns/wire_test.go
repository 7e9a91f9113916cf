package dns_test

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// script serves what handle writes, which need not be DNS, over UDP and TCP.
func script(t *testing.T, handle func(w mdns.ResponseWriter, q *mdns.Msg)) (addr string) {
	t.Helper()
	packets, streams, err := dnstest.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*mdns.Server{{PacketConn: packets}, {Listener: streams}} {
		s.Handler = mdns.HandlerFunc(handle)
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }() // ends with Shutdown
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return packets.LocalAddr().String()
}

func network(w mdns.ResponseWriter) string { return w.LocalAddr().Network() }

// response returns the answer to q that lines describe: records for the answer
// section, records for the authority section after the word "authority", and
// flags or an RCODE by name.
func response(t *testing.T, q *mdns.Msg, lines ...string) *mdns.Msg {
	m := new(mdns.Msg).SetReply(q)
	m.RecursionAvailable = true
	for _, line := range lines {
		record, authority := strings.CutPrefix(line, "authority ")
		if code, ok := mdns.StringToRcode[line]; ok {
			m.Rcode = code
			continue
		}
		switch line {
		case "AD":
			m.AuthenticatedData = true
			continue
		case "AA":
			m.Authoritative = true
			continue
		case "no RA":
			m.RecursionAvailable = false
			continue
		}
		rr, err := mdns.NewRR(record)
		if err != nil {
			t.Error(err)
		}
		if authority {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

func pack(t *testing.T, m *mdns.Msg) []byte {
	wire, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return wire
}

func TestAnswers(t *testing.T) {
	const soa = "authority b.example. 90 SOA ns.b.example. admin.b.example. 1 2 3 4 70"
	links := func(n int) map[string][]string {
		says := map[string][]string{}
		for i := range n {
			says["TXT "+strings.Repeat("x", i+1)+".example"] = []string{strings.Repeat("x", i+1) + ".example. 60 CNAME " + strings.Repeat("x", i+2) + ".example."}
		}
		says["TXT "+strings.Repeat("x", n+1)+".example"] = []string{strings.Repeat("x", n+1) + `.example. 60 TXT "end"`}
		return says
	}
	for _, test := range []struct {
		name   string
		ask    string // empty means "TXT a.example"
		says   map[string][]string
		want   string
		cnames string
		err    string // "", "not found" or "temporary"
		ttl    int
		ad     bool
		asked  int // questions; 0 means 1
	}{
		{
			name: "alias after its target",
			says: map[string][]string{"TXT a.example": {`c.example. 30 TXT "end"`, "b.example. 20 CNAME c.example.", "a.example. 40 CNAME b.example."}},
			want: "end", cnames: "b.example,c.example", ttl: 20,
		}, {
			name: "owners in a different case",
			says: map[string][]string{"TXT a.example": {"A.Example. 60 CNAME b.EXAMPLE.", `B.example. 60 TXT "end"`}},
			want: "end", cnames: "b.EXAMPLE", ttl: 60,
		}, {
			name: "records of other names, types and classes",
			says: map[string][]string{"TXT a.example": {`b.example. 1 TXT "forged"`, `a.example. 1 CH TXT "chaos"`, "a.example. 1 A 192.0.2.1", "b.example. 1 CNAME a.example.", `a.example. 60 TXT "x"`}},
			want: "x", ttl: 60,
		}, {
			name: "only records of other names",
			says: map[string][]string{"TXT a.example": {`b.example. 60 TXT "forged"`, `a.example. 60 CH TXT "chaos"`}},
		}, {
			name: "alias whose target is in the next answer",
			says: map[string][]string{
				"TXT a.example": {"AD", "a.example. 60 CNAME b.example."},
				"TXT b.example": {"AD", "b.example. 50 CNAME c.example."},
				"TXT c.example": {"AD", `c.example. 55 TXT "end"`},
			},
			want: "end", cnames: "b.example,c.example", ttl: 50, ad: true, asked: 3,
		}, {
			name: "first of two answers not authentic",
			says: map[string][]string{
				"TXT a.example": {"a.example. 60 CNAME b.example."},
				"TXT b.example": {"AD", `b.example. 60 TXT "end"`},
			},
			want: "end", cnames: "b.example", ttl: 60, asked: 2,
		}, {
			name: "second of two answers not authentic",
			says: map[string][]string{
				"TXT a.example": {"AD", "a.example. 60 CNAME b.example."},
				"TXT b.example": {`b.example. 60 TXT "end"`},
			},
			want: "end", cnames: "b.example", ttl: 60, asked: 2,
		}, {
			name: "alias that may not be kept",
			says: map[string][]string{
				"TXT a.example": {"a.example. 0 CNAME b.example."},
				"TXT b.example": {`b.example. 60 TXT "end"`},
			},
			want: "end", cnames: "b.example", asked: 2,
		}, {
			name:   "alias to a name without records",
			says:   map[string][]string{"TXT a.example": {"a.example. 60 CNAME b.example.", soa}},
			cnames: "b.example", ttl: 60,
		}, {
			name: "alias to a name without records, in the next answer",
			says: map[string][]string{
				"TXT a.example": {"a.example. 80 CNAME b.example."},
				"TXT b.example": {soa},
			},
			cnames: "b.example", ttl: 70, asked: 2,
		}, {
			name: "SOA whose TTL is lower than its minimum",
			says: map[string][]string{"TXT a.example": {"authority example. 50 SOA ns.example. admin.example. 1 2 3 4 70"}},
			ttl:  50,
		}, {
			name: "SOA with a long TTL",
			says: map[string][]string{"TXT a.example": {"authority example. 90000 SOA ns.example. admin.example. 1 2 3 4 90000"}},
			ttl:  3600,
		}, {
			name: "SOA of a zone that the target is not in",
			says: map[string][]string{
				"TXT a.example": {"a.example. 60 CNAME c.example.", soa},
				"TXT c.example": {`c.example. 60 TXT "end"`},
			},
			want: "end", cnames: "c.example", ttl: 60, asked: 2,
		}, {
			name:   "alias to a name that does not exist",
			says:   map[string][]string{"TXT a.example": {"NXDOMAIN", "a.example. 60 CNAME b.example.", soa}},
			cnames: "b.example", err: "not found",
		}, {
			name: "alias to a name that does not exist, in the next answer",
			says: map[string][]string{
				"TXT a.example": {"a.example. 60 CNAME b.example."},
				"TXT b.example": {"NXDOMAIN"},
			},
			cnames: "b.example", err: "not found", asked: 2,
		}, {
			name: "alias to a name whose server fails",
			says: map[string][]string{
				"TXT a.example": {"a.example. 60 CNAME b.example."},
				"TXT b.example": {"SERVFAIL"},
			},
			cnames: "b.example", err: "temporary", asked: 2,
		}, {
			name:   "aliases in a loop",
			says:   map[string][]string{"TXT a.example": {"a.example. 60 CNAME b.example.", "b.example. 60 CNAME a.example."}},
			cnames: "b.example", err: "not found",
		}, {
			name: "aliases in a loop across answers",
			says: map[string][]string{
				"TXT a.example": {"a.example. 60 CNAME b.example."},
				"TXT b.example": {"b.example. 60 CNAME a.example."},
			},
			cnames: "b.example", err: "not found", asked: 2,
		}, {
			name: "ten aliases",
			ask:  "TXT x.example", says: links(10),
			want: "end", ttl: 60, asked: 11,
			cnames: "xx.example,xxx.example,xxxx.example,xxxxx.example,xxxxxx.example,xxxxxxx.example,xxxxxxxx.example,xxxxxxxxx.example,xxxxxxxxxx.example,xxxxxxxxxxx.example",
		}, {
			name: "eleven aliases",
			ask:  "TXT x.example", says: links(11), err: "temporary", asked: 11,
		}, {
			name: "alias to the root",
			says: map[string][]string{
				"TXT a.example": {"a.example. 60 CNAME ."},
				"TXT ":          {"NOERROR"},
			},
			asked: 2,
		}, {
			name: "referral to other servers",
			says: map[string][]string{"TXT a.example": {"no RA", "authority . 60 NS ns.example."}},
			err:  "temporary",
		}, {
			name: "nothing, from the server of the zone itself",
			says: map[string][]string{"TXT a.example": {"no RA", "AA"}},
		}, {
			name: "nothing, with the servers of the zone and its SOA",
			says: map[string][]string{"TXT a.example": {"authority example. 60 NS ns.example.", "authority example. 60 SOA ns.example. admin.example. 1 2 3 4 5"}},
			ttl:  5,
		}, {
			name: "null MX", ask: "MX a.example",
			says: map[string][]string{"MX a.example": {"a.example. 60 MX 0 ."}},
			want: "0 ", ttl: 60,
		}, {
			name: "unsorted MX", ask: "MX a.example",
			says: map[string][]string{"MX a.example": {"a.example. 60 MX 65535 d.", "a.example. 60 MX 5 c.", "a.example. 60 MX 5 b."}},
			want: "5 c,5 b,65535 d", ttl: 60,
		}, {
			name: "TTL over a day",
			says: map[string][]string{"TXT a.example": {`a.example. 1000000 TXT "x"`}},
			want: "x", ttl: 86400,
		}, {
			name: "TTL with its top bit set",
			says: map[string][]string{"TXT a.example": {`a.example. 2147483648 TXT "x"`}},
			want: "x",
		}, {
			name: "strings of every kind",
			says: map[string][]string{"TXT a.example": {`a.example. 60 TXT "" "a\"b" "\\" "\000\255" "\;" ""`, `a.example. 60 TXT ""`}},
			want: "a\"b\\\x00\xff;,", ttl: 60,
		},
	} {
		var mu sync.Mutex
		asked := 0
		addr := script(t, func(w mdns.ResponseWriter, q *mdns.Msg) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			question := mdns.TypeToString[q.Question[0].Qtype] + " " + strings.TrimSuffix(q.Question[0].Name, ".")
			_ = w.WriteMsg(response(t, q, test.says[question]...))
		})
		now := time.Unix(1_000_000, 0)
		c := dns.New(dns.Config{Servers: []string{addr}, Timeout: patience, Now: func() time.Time { return now }})
		if test.ask == "" {
			test.ask = "TXT a.example"
		}
		qtype, name, _ := strings.Cut(test.ask, " ")
		values, cnames, err := ask(context.Background(), c, qtype, name)
		got := ""
		switch {
		case dns.IsNotFound(err):
			got = "not found"
		case dns.IsTemporary(err):
			got = "temporary"
		}
		mu.Lock()
		n := asked
		mu.Unlock()
		if values != test.want || got != test.err || n != max(1, test.asked) || test.err != "temporary" && cnames != test.cnames {
			t.Errorf("%s: got %q via %q, error %v, asked %d times", test.name, values, cnames, err, n)
		}
		if qtype == "TXT" && test.err == "" {
			a, err := c.TXT(context.Background(), name)
			if err != nil || a.TTL != time.Duration(test.ttl)*time.Second || a.Authentic != test.ad {
				t.Errorf("%s: TTL %v, authentic %v, %v", test.name, a.TTL, a.Authentic, err)
			}
		}
	}
}

// noStrings is a TXT record without strings, which RFC 1035 section 3.3.14 does not
// allow: its data is empty (RFC 3597 section 5).
const noStrings = `a.example. 60 TXT \# 0`

// A TXT record without strings is an empty text, and does not hide the others.
func TestTextWithoutStrings(t *testing.T) {
	for _, test := range []struct {
		records []string
		want    []string
	}{
		{[]string{noStrings, `a.example. 60 TXT "one"`}, []string{"", "one"}},
		{[]string{`a.example. 60 TXT "one"`, noStrings}, []string{"one", ""}},
		{[]string{noStrings, `a.example. 60 TXT "one"`, noStrings, `a.example. 60 TXT "" "two"`}, []string{"", "one", "", "two"}},
		{[]string{noStrings}, []string{""}},
		{[]string{`other.example. 60 TXT \# 0`, `a.example. 60 TXT "one"`}, []string{"one"}},
		{[]string{"a.example. 60 CNAME b.example.", `b.example. 60 TXT \# 0`, `b.example. 60 TXT "one"`}, []string{"", "one"}},
	} {
		addr := script(t, func(w mdns.ResponseWriter, q *mdns.Msg) {
			_ = w.WriteMsg(response(t, q, test.records...))
		})
		c := dns.New(dns.Config{Servers: []string{addr}, Timeout: patience, Now: func() time.Time { return time.Unix(1_000_000, 0) }})
		if a, err := c.TXT(t.Context(), "a.example"); err != nil || !slices.Equal(a.Values, test.want) || a.TTL != time.Minute {
			t.Errorf("%q: %q for %v, %v", test.records, a.Values, a.TTL, err)
		}
	}
}

// A response that cannot be read to its end says nothing; above all, it does
// not say that there is no record.
func TestBrokenResponses(t *testing.T) {
	good := dnstest.Serve(t, dnstest.MustParse(t, "a.example. 0 TXT \"good\"\n"))
	whole := []string{`a.example. 60 TXT "one"`, `a.example. 60 TXT "two"`, "authority example. 60 SOA ns.example. admin.example. 1 2 3 4 5"}
	// emptied removes the data from the last answer record.
	emptied := func(m []byte, dataLength int) []byte {
		m = m[:len(m)-dataLength]
		binary.BigEndian.PutUint16(m[len(m)-2:], 0)
		return m
	}
	question := 12 + len("\x01a\x07example\x00") + 4
	for name, broken := range map[string]func(q *mdns.Msg) []byte{
		"ends after the question": func(q *mdns.Msg) []byte { return pack(t, response(t, q, whole...))[:question] },
		"ends between records": func(q *mdns.Msg) []byte {
			m := response(t, q, whole...)
			m.Compress = true
			return pack(t, m)[:question+2+10+4]
		},
		"ends before the authority section": func(q *mdns.Msg) []byte {
			m := response(t, q, whole[2])
			return pack(t, m)[:question]
		},
		"ends before the additional section": func(q *mdns.Msg) []byte {
			m := pack(t, response(t, q, whole[0]).SetEdns0(1232, false))
			const opt = 1 + 10
			return m[:len(m)-opt]
		},
		"ends in a record": func(q *mdns.Msg) []byte {
			m := pack(t, response(t, q, whole[0]))
			return m[:len(m)-1]
		},
		"CNAME without data, after a TXT without strings": func(q *mdns.Msg) []byte {
			return emptied(pack(t, response(t, q, noStrings, "a.example. 60 CNAME b.")), len("\x01b\x00"))
		},
		"ends in a record after a TXT without strings": func(q *mdns.Msg) []byte {
			m := pack(t, response(t, q, noStrings, whole[0]))
			return m[:len(m)-1]
		},
		"ends after a TXT without strings": func(q *mdns.Msg) []byte {
			m := pack(t, response(t, q, noStrings, whole[0]))
			return m[:len(m)-len("\x01a\x07example\x00")-10-len("\x03one")]
		},
		"CNAME without data": func(q *mdns.Msg) []byte {
			return emptied(pack(t, response(t, q, "a.example. 60 CNAME b.")), len("\x01b\x00"))
		},
		"name that points at itself": func(q *mdns.Msg) []byte {
			m := pack(t, response(t, q, whole[0]))
			return append(m[:question], 0xc0, byte(question), 0, 16, 0, 1, 0, 0, 0, 60, 0, 1, 0)
		},
		"string longer than its record": func(q *mdns.Msg) []byte {
			m := pack(t, response(t, q, whole[0]))
			m[len(m)-4] = 200
			return m
		},
	} {
		bad := script(t, func(w mdns.ResponseWriter, q *mdns.Msg) { _, _ = w.Write(broken(q)) })
		c := dns.New(dns.Config{Servers: []string{bad}, Timeout: patience})
		if a, err := c.TXT(context.Background(), "a.example"); !dns.IsTemporary(err) || err.Error() != "TXT a.example: malformed answer" {
			t.Errorf("%s: got %q, %v", name, a.Values, err)
		}
		c = dns.New(dns.Config{Servers: []string{bad, good}, Timeout: patience})
		if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{"good"}) {
			t.Errorf("%s, second server: got %q, %v", name, a.Values, err)
		}
	}
}

// The client waits for the answer behind packets that somebody else may have
// sent.
func TestSpoofedResponsesAreNotTheAnswer(t *testing.T) {
	forged := `a.example. 60 TXT "forged"`
	addr := script(t, func(w mdns.ResponseWriter, q *mdns.Msg) {
		for _, change := range []func(m *mdns.Msg){
			func(m *mdns.Msg) { m.Id ^= 1 },
			func(m *mdns.Msg) { m.Response = false },
			func(m *mdns.Msg) { m.Opcode = mdns.OpcodeNotify },
			func(m *mdns.Msg) { m.Question[0].Name = "b.example." },
			func(m *mdns.Msg) { m.Question[0].Name = "a.example.com." },
			func(m *mdns.Msg) { m.Question[0].Qtype = mdns.TypeA },
			func(m *mdns.Msg) { m.Question[0].Qclass = mdns.ClassCHAOS },
			func(m *mdns.Msg) { m.Question = nil },
			func(m *mdns.Msg) { m.Question, m.Rcode = nil, mdns.RcodeNameError },
		} {
			m := response(t, q, forged)
			m.Question = slices.Clone(m.Question)
			change(m)
			_, _ = w.Write(pack(t, m))
		}
		_, _ = w.Write(nil)
		_, _ = w.Write([]byte("not DNS"))
		_, _ = w.Write(pack(t, response(t, q, `a.example. 60 TXT "true"`)))
	})
	c := dns.New(dns.Config{Servers: []string{addr}, Timeout: patience})
	if a, err := c.TXT(context.Background(), "a.example"); err != nil || !slices.Equal(a.Values, []string{"true"}) {
		t.Errorf("got %q, %v", a.Values, err)
	}
}

func TestTruncationAndOldServers(t *testing.T) {
	const record = `a.example. 60 TXT "whole"`
	truncated := func(q *mdns.Msg) []byte {
		m := response(t, q, record)
		m.Truncated = true
		return pack(t, m)
	}
	for _, test := range []struct {
		name   string
		handle func(w mdns.ResponseWriter, q *mdns.Msg)
		err    string
	}{
		{name: "cut within a record", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			if m := truncated(q); network(w) == "udp" {
				_, _ = w.Write(m[:len(m)-3])
				return
			}
			_ = w.WriteMsg(response(t, q, record))
		}},
		{name: "old server, truncated", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			switch {
			case q.IsEdns0() != nil:
				_ = w.WriteMsg(response(t, q, "FORMERR"))
			case network(w) == "udp":
				_, _ = w.Write(truncated(q))
			default:
				_ = w.WriteMsg(response(t, q, record))
			}
		}},
		{name: "old server, refuses with a bare header", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			if q.IsEdns0() != nil {
				m := response(t, q, "NOTIMP")
				m.Question = nil
				_ = w.WriteMsg(m)
				return
			}
			_ = w.WriteMsg(response(t, q, record))
		}},
		{name: "other version of EDNS", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			if q.IsEdns0() != nil {
				m := response(t, q).SetEdns0(1232, false)
				m.Rcode = mdns.RcodeBadVers
				_ = w.WriteMsg(m)
				return
			}
			_ = w.WriteMsg(response(t, q, record))
		}},
		{name: "refuses without EDNS too", err: "FORMERR", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			_ = w.WriteMsg(response(t, q, "FORMERR"))
		}},
		{name: "truncated over TCP too", err: "truncated answer over TCP", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			_, _ = w.Write(truncated(q))
		}},
		{name: "closes the stream", err: "connection closed before the end of the answer", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			if network(w) == "udp" {
				_, _ = w.Write(truncated(q))
				return
			}
			_ = w.Close()
		}},
		{name: "other question over TCP", err: "the answer is to another question", handle: func(w mdns.ResponseWriter, q *mdns.Msg) {
			if network(w) == "udp" {
				_, _ = w.Write(truncated(q))
				return
			}
			m := response(t, q, record)
			m.Id++
			_ = w.WriteMsg(m)
		}},
	} {
		c := dns.New(dns.Config{Servers: []string{script(t, test.handle)}, Timeout: patience})
		a, err := c.TXT(context.Background(), "a.example")
		switch {
		case test.err != "":
			if !dns.IsTemporary(err) || err.Error() != "TXT a.example: "+test.err {
				t.Errorf("%s: got %q, %v", test.name, a.Values, err)
			}
		case err != nil || !slices.Equal(a.Values, []string{"whole"}):
			t.Errorf("%s: got %q, %v", test.name, a.Values, err)
		}
	}
}

func TestQueriesAsAskedFor(t *testing.T) {
	var mu sync.Mutex
	ids := map[uint16]bool{}
	ports := map[string]bool{}
	addr := script(t, func(w mdns.ResponseWriter, q *mdns.Msg) {
		opt := q.IsEdns0()
		if opt == nil || opt.UDPSize() != 1232 || opt.Do() || !q.AuthenticatedData || !q.RecursionDesired || q.CheckingDisabled {
			t.Errorf("query %v", q)
		}
		mu.Lock()
		defer mu.Unlock()
		ids[q.Id] = true
		ports[w.RemoteAddr().String()] = true
		_ = w.WriteMsg(response(t, q, `a.example. 0 TXT "x"`))
	})
	c := dns.New(dns.Config{Servers: []string{addr}})
	for range 50 {
		if _, err := c.TXT(context.Background(), "a.example"); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ids) < 45 || len(ports) < 25 {
		t.Errorf("%d IDs and %d ports for 50 queries", len(ids), len(ports))
	}
}
