package milter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/dmarc"
	"authmilter/verify/spf"
)

const exampleResults = `mx.example.org;
	dkim=pass (256-bit ed25519 key) header.d=football.example.com
	header.i=@football.example.com header.s=brisbane
	header.a=ed25519-sha256 header.b="/gCrinpc";
	dkim=pass (1024-bit rsa key) header.d=football.example.com
	header.i=@football.example.com header.s=test header.a=rsa-sha256
	header.b=F45dVWDf;
	spf=pass smtp.mailfrom=joe@football.example.com
	smtp.helo=mx.football.example.com;
	dmarc=pass (p=reject) header.from=football.example.com
	policy.dmarc=reject;
	arc=none`

func TestResults(t *testing.T) {
	r := start(t, options{})
	m := example(t)
	m.macros = map[string]string{"i": "4ABCDEF"}
	acts := r.deliver(m)
	want := []string{fmt.Sprintf("InsertHeader 0 %q %q", resultsName, " "+exampleResults)}
	if !slices.Equal(acts, want) {
		t.Errorf("changes\n%q, want\n%q", acts, want)
	}
	v := r.seen.list()
	if len(v) != 1 {
		t.Fatalf("%d verdicts", len(v))
	}
	got := v[0]
	if got.QueueID != "4ABCDEF" || got.Listener != "test" || got.Skip != policy.NotSkipped || got.Removed != nil ||
		got.Recipients.Count != 1 || !slices.Equal(got.Recipients.Domains, []string{"shopping.example.net"}) ||
		got.Envelope != (verify.Envelope{
			ClientIP: netip.MustParseAddr("192.0.2.1"), ClientName: "client.example.net",
			Helo: "mx.football.example.com", MailFrom: "joe@football.example.com",
		}) {
		t.Errorf("verdict %+v", got)
	}
	if got.Took <= 0 || got.EndOfMessage <= 0 || got.EndOfMessage > got.Took || got.Result.Size != int64(len(m.body)) {
		t.Errorf("took %v, at the end %v, %d octets", got.Took, got.EndOfMessage, got.Result.Size)
	}
}

// TestProtocolVersions checks that we follow what an MTA offers: it never waits for
// a reply that does not come, and the results are always the same.
func TestProtocolVersions(t *testing.T) {
	r := start(t, options{})
	m := example(t)
	eaten := m
	eaten.fields = slices.Clone(m.fields)
	for i := range eaten.fields {
		eaten.fields[i].value = strings.TrimPrefix(eaten.fields[i].value, " ")
	}
	const all = gomilter.OptSkip | gomilter.OptHeaderLeadingSpace | gomilter.OptNoReplies
	for _, test := range []struct {
		name string
		opts []gomilter.Option
	}{
		{"version 2", []gomilter.Option{gomilter.WithMaximumVersion(2), gomilter.WithActions(0x3f), gomilter.WithProtocols(0)}},
		{"version 3", []gomilter.Option{gomilter.WithMaximumVersion(3), gomilter.WithActions(0x3f), gomilter.WithProtocols(0)}},
		{"version 4", []gomilter.Option{gomilter.WithMaximumVersion(4), gomilter.WithActions(0x3f), gomilter.WithProtocols(0)}},
		{"version 6 with nothing", []gomilter.Option{gomilter.WithProtocols(gomilter.OptNoUnknown)}},
		{"version 6 without skip", []gomilter.Option{gomilter.WithProtocols(all &^ gomilter.OptSkip)}},
		{"version 6 without leading space", []gomilter.Option{gomilter.WithProtocols(all &^ gomilter.OptHeaderLeadingSpace)}},
		{"version 6 with header replies", []gomilter.Option{gomilter.WithProtocols(all &^ gomilter.OptNoHeaderReply)}},
		{"version 6 with larger chunks", []gomilter.Option{gomilter.WithOfferedMaxData(gomilter.DataSize1M), gomilter.WithUsedMaxData(gomilter.DataSize1M)}},
		{"version 6 with all", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := *r
			r.t = t
			s := r.dial(test.opts...)
			sent, space := eaten, ""
			if s.ProtocolOption(gomilter.OptHeaderLeadingSpace) {
				sent, space = m, " "
			}
			r.open(s, sent)
			r.must(s.Unknown("VRFY x", nil))
			// Twice, to check the state after a message.
			for range 2 {
				r.envelope(s, sent)
				r.header(s, sent)
				if got, want := r.value(r.finish(s, sent)), fmt.Sprintf("%q", space+exampleResults); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
}

// TestLeadingSpace verifies a signature in simple canonicalization, which covers the
// space after the colon, with MTAs that remove that space and MTAs that keep it.
func TestLeadingSpace(t *testing.T) {
	r := start(t, options{})
	for _, eaten := range []bool{false, true} {
		m := load(t, "rfc6376.eml")
		protocols := gomilter.OptSkip | gomilter.OptNoReplies | gomilter.OptHeaderLeadingSpace
		if eaten {
			protocols &^= gomilter.OptHeaderLeadingSpace
			for i := range m.fields {
				m.fields[i].value = strings.TrimPrefix(m.fields[i].value, " ")
			}
		}
		value := r.value(r.deliver(m, gomilter.WithProtocols(protocols)))
		if !strings.Contains(value, "dkim=pass") || strings.HasPrefix(value, `" `) == eaten {
			t.Errorf("eaten %v: %s", eaten, value)
		}
	}
}

// TestNoHelo has the client of a second session send MAIL without HELO.
func TestNoHelo(t *testing.T) {
	r := start(t, options{})
	w := r.wire()
	whole := messageFrames(unsigned())
	w.send(whole, frame(cmdQuitNew, ""), frame(cmdConnect, "x\x00U"),
		frame(cmdMail, "<>\x00"), frame(cmdEndHeader, ""), frame(cmdEndMessage, ""))
	for range 2 {
		if changes, final := w.verdict(); changes != 1 || final != 'a' {
			t.Errorf("%d changes, then %q", changes, final)
		}
	}
	if v := r.seen.list()[1]; v.Envelope.Helo != "" || v.Envelope.ClientIP.IsValid() || v.Envelope.ClientName != "x" {
		t.Errorf("second session: %+v", v.Envelope)
	}
}

func TestRestoreSpace(t *testing.T) {
	for in, want := range map[string]string{
		"":          "", // an empty field: RFC 6376 need not distinguish it from a single space
		"x":         " x",
		" x":        "  x",
		"\tx":       "\tx",
		"\n x":      "\n x",
		"\r\n\tx":   "\r\n\tx",
		"<a@b>":     " <a@b>",
		"\u00e9":    " \u00e9",
		"x\n\ty":    " x\n\ty",
		"  two\n z": "   two\n z",
	} {
		if got := restoreSpace(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNegotiationRefused(t *testing.T) {
	r := start(t, options{})
	for _, actions := range []gomilter.OptAction{0, gomilter.OptAddHeader, gomilter.OptChangeHeader, gomilter.OptQuarantine} {
		_, err := gomilter.NewClient("tcp", r.addr, gomilter.WithActions(actions)).Session(nil)
		if err == nil {
			t.Errorf("an MTA that allows only %q is served", actions)
		}
	}
	for _, version := range []uint32{0, 1} {
		if _, _, _, _, err := negotiate(version, 6, wantedActions, wantedActions, 0, wantedProtocol, 0); err == nil {
			t.Errorf("version %d is served", version)
		}
	}
	if version, _, _, _, err := negotiate(7, 6, wantedActions, wantedActions, 0, wantedProtocol, 0); err != nil || version != 6 {
		t.Errorf("an MTA with version 7 gets %d, %v", version, err)
	}
	r.deliver(unsigned()) // the next one is served
}

func TestBodyIsSkippedWhereNobodyNeedsIt(t *testing.T) {
	r := start(t, options{})
	for _, test := range []struct {
		name string
		mail mail
		opts []gomilter.Option
		want bool
	}{
		{"unsigned", unsigned(), nil, true},
		{"signed", example(t), nil, false},
		{"unsigned without skip", unsigned(), []gomilter.Option{gomilter.WithProtocols(gomilter.OptNoReplies &^ gomilter.OptNoBodyReply)}, false},
		{"authenticated", mail{
			client: "192.0.2.1", helo: "x", fields: example(t).fields, body: "x\r\n", macros: map[string]string{"{auth_type}": "PLAIN"},
		}, nil, true},
	} {
		bag := gomilter.NewMacroBag()
		for name, value := range test.mail.macros {
			bag.Set(name, value)
		}
		s, err := gomilter.NewClient("tcp", r.addr, test.opts...).Session(bag)
		if err != nil {
			t.Fatal(err)
		}
		r.open(s, test.mail)
		r.envelope(s, test.mail)
		r.header(s, test.mail)
		r.must(s.BodyChunk([]byte(test.mail.body)))
		if s.Skip() != test.want {
			t.Errorf("%s: skip %v", test.name, s.Skip())
		}
		if _, _, err := s.End(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		_ = s.Close()
	}
}

func TestClientFamilies(t *testing.T) {
	for _, test := range []struct {
		name   string
		family gomilter.ProtoFamily
		addr   string
		macro  string
		want   spf.Status
	}{
		{"IPv4", gomilter.FamilyInet, "192.0.2.1", "", spf.Pass},
		{"IPv6", gomilter.FamilyInet6, "2001:db8::1", "", spf.Pass},
		{"IPv6 as Sendmail writes it", gomilter.FamilyInet6, "IPv6:2001:db8::1", "", spf.Pass},
		{"IPv4 in IPv6", gomilter.FamilyInet6, "::ffff:192.0.2.1", "", spf.Pass},
		{"unknown, with a macro", gomilter.FamilyUnknown, "", "192.0.2.1", spf.Pass},
		{"unknown, with an IPv6 macro", gomilter.FamilyUnknown, "", "IPv6:2001:db8::1", spf.Pass},
		{"unix, with a macro", gomilter.FamilyUnix, "/run/x", "192.0.2.1", spf.Pass},
		{"unix", gomilter.FamilyUnix, "/run/x", "", spf.None},
		{"unknown", gomilter.FamilyUnknown, "", "", spf.None},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, options{})
			m := example(t)
			m.family, m.client = test.family, test.addr
			if test.macro != "" {
				m.macros = map[string]string{"{client_addr}": test.macro}
			}
			r.deliver(m)
			if got := r.seen.list()[0].Result; got.SPF.Status != test.want || got.DMARC.Status != dmarc.Pass {
				t.Errorf("spf=%s (%v) dmarc=%s", got.SPF.Status, got.SPF.Err, got.DMARC.Status)
			}
		})
	}
}

// TestNothingIsLeftOfTheLastMessage sends different messages over one connection.
func TestNothingIsLeftOfTheLastMessage(t *testing.T) {
	r := start(t, options{})
	bag := gomilter.NewMacroBag()
	s, err := gomilter.NewClient("tcp", r.addr).Session(bag)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	signed, other := example(t), unsigned()
	other.from = ""
	r.open(s, signed)

	bag.Set("{auth_authen}", "joe")
	r.envelope(s, signed)
	r.header(s, mail{fields: forgedFields()})
	if acts := r.finish(s, signed); !slices.Equal(acts, forgedRemoved) {
		t.Errorf("authenticated: %q", acts)
	}
	bag = gomilter.NewMacroBag() // for the next SMTP session
	if err := s.Reset(bag); err != nil {
		t.Fatal(err)
	}
	other.client, other.helo = "198.51.100.7", "elsewhere.example.net"
	r.open(s, other)
	r.envelope(s, other)
	r.header(s, other)
	if acts := r.finish(s, other); len(acts) != 1 {
		t.Errorf("after another session: %q", acts)
	}
	// HELO again, as after STARTTLS, then a message that is aborted.
	r.must(s.Helo("mx.football.example.com"))
	r.envelope(s, other)
	r.header(s, mail{fields: forgedFields()})
	if err := s.Abort(nil); err != nil {
		t.Fatal(err)
	}
	r.envelope(s, signed)
	r.header(s, signed)
	if acts := r.finish(s, signed); len(acts) != 1 {
		t.Errorf("after an aborted message: %q", acts)
	}
	all := r.seen.list()
	if len(all) != 3 {
		t.Fatalf("%d verdicts", len(all))
	}
	second, third := all[1], all[2]
	if e := second.Envelope; second.Skip != policy.NotSkipped || second.Removed != nil || e.Helo != "elsewhere.example.net" ||
		e.ClientIP != netip.MustParseAddr("198.51.100.7") || e.MailFrom != "" || second.Result.SPF.Identity != spf.Helo {
		t.Errorf("second: %+v", second)
	}
	if e := third.Envelope; e.Helo != "mx.football.example.com" || e.ClientIP != netip.MustParseAddr("198.51.100.7") ||
		len(third.Result.DKIM) != 2 || third.Recipients.Count != 1 || third.Result.DMARC.Status != dmarc.Pass ||
		third.Result.SPF.Status != spf.Fail {
		t.Errorf("third: %+v", third)
	}
}

// TestStages checks that the duration of each stage is recorded, and that the stages
// add up.
func TestStages(t *testing.T) {
	r := start(t, options{set: func(s *Settings) { s.ExplainRules = true }})
	r.deliver(example(t))
	v := r.seen.list()[0]
	st := v.Stages
	for name, took := range map[string]time.Duration{
		"receive": st.Receive, "wait": st.Wait, "verify": st.Verify, "decide": st.Decide, "write": st.Write,
	} {
		if took <= 0 {
			t.Errorf("%s took %v", name, took)
		}
	}
	if st.Seal != 0 {
		t.Errorf("seal took %v", st.Seal)
	}
	if sum := st.Wait + st.Verify + st.Decide + st.Write; sum > v.EndOfMessage {
		t.Errorf("the stages took %v, the end of the message %v", sum, v.EndOfMessage)
	}
	if st.Receive+v.EndOfMessage != v.Took {
		t.Errorf("%v and %v are not %v", st.Receive, v.EndOfMessage, v.Took)
	}
	if len(v.Rules) != 0 {
		t.Errorf("rules %+v for a message that passes", v.Rules)
	}
	forged := unsigned()
	forged.client = "198.51.100.1"
	r.deliver(forged)
	if rules := r.seen.list()[1].Rules; len(rules) != 2 || rules[0].Rule != "dmarc" {
		t.Errorf("rules %+v for a message that fails", rules)
	}
}
