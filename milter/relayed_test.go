package milter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/spf"
	"authmilter/verify/trace"
)

// The relay in these tests, and the Received field that it adds to a message from
// outside.
const (
	relayAddr     = "10.0.0.1"
	relayReceived = " from mx.football.example.com (mail.football.example.com [192.0.2.1])\n\tby mx1.example.org (Postfix) with ESMTP id 1; x"
)

// behindRelay starts a rig with a relay.
func behindRelay(t *testing.T, o options) *rig {
	set := o.set
	o.set = func(s *Settings) {
		s.Relays = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30")}
		s.SkipNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		s.KeepRelayResults = true
		if set != nil {
			set(s)
		}
	}
	return start(t, o)
}

// relayed returns a message that a relay passes on, with the given fields on top.
func relayedMail(m mail, top ...field) mail {
	m.client, m.helo = relayAddr, "mx1.example.org"
	m.fields = append(top, m.fields...)
	return m
}

// one delivers m and returns the verdict.
func (r *rig) one(m mail) *policy.Verdict {
	r.t.Helper()
	r.deliver(m)
	all := r.seen.take()
	if len(all) != 1 {
		r.t.Fatalf("%d verdicts", len(all))
	}
	return all[0]
}

func TestRelayed(t *testing.T) {
	r := behindRelay(t, options{verify: func(o *verify.Options) { o.IPRev = true }})
	received := field{"Received", relayReceived}
	v := r.one(relayedMail(example(t), received))
	if v.Relay.String() != relayAddr || v.Envelope.ClientIP.String() != "192.0.2.1" || v.Envelope.Helo != "mx.football.example.com" ||
		v.Envelope.ClientName != "mail.football.example.com" || v.Result.SPF.Status != spf.Pass || v.Skip != policy.NotSkipped {
		t.Errorf("relayed: %+v, %+v", v, v.Result.SPF)
	}
	// Even if the relay authenticates.
	m := relayedMail(example(t), received)
	m.macros = map[string]string{"{auth_authen}": "relay"}
	if v := r.one(m); v.Skip != policy.NotSkipped || v.Result.SPF.Status != spf.Pass {
		t.Errorf("authenticated relay: %+v", v)
	}
	// One of our hosts sends through the relay.
	v = r.one(relayedMail(example(t), field{"Received", " from inner (unknown [10.9.9.9])\n\tby mx1.example.org (Postfix); x"}))
	if v.Skip != policy.LocalNetwork || v.Envelope.ClientIP.String() != "10.9.9.9" || v.Result != nil {
		t.Errorf("own host: %+v", v)
	}
	// The next message on the connection of another client is not relayed.
	if v := r.one(example(t)); v.Relay.IsValid() || v.Envelope.ClientIP.String() != "192.0.2.1" {
		t.Errorf("not relayed: %+v", v)
	}
}

// TestRelayedWithoutOrigin has messages whose origin is not known.
func TestRelayedWithoutOrigin(t *testing.T) {
	forged := field{"Received", relayReceived}
	many := make([]field, maxOwnFields)
	for i := range many {
		many[i] = field{"X", " y"}
	}
	for _, test := range []struct {
		name string
		top  []field
		want error
	}{
		{"no Received field", nil, trace.ErrNoOrigin},
		{"unreadable", []field{{"Received", " from somewhere"}, forged}, trace.ErrUnreadable},
		{"too many fields", append(many, forged), trace.ErrNoOrigin},
		{"too large a field", []field{{"X", " " + strings.Repeat("x", 40<<10)}, {"X", " " + strings.Repeat("x", maxOwnHeader)}, forged}, trace.ErrNoOrigin},
	} {
		for status, temporary := range map[spf.Status]bool{spf.TempError: true, spf.None: false} {
			r := behindRelay(t, options{verify: func(o *verify.Options) {
				o.NoOriginIsTemporary = temporary
				o.MaxHeaderBytes, o.MaxHeaderFields = 8<<20, 5000
				o.IPRev = true
			}})
			v := r.one(relayedMail(unsigned(), test.top...))
			if v.Envelope.ClientIP.IsValid() || v.Result.SPF.Status != status || v.Result.SPF.Reason != spf.ReasonNoOrigin ||
				!errors.Is(v.Result.SPF.Err, test.want) || v.Result.IPRev.Err == nil || v.Skip != policy.NotSkipped {
				t.Errorf("%s: %+v, %v", test.name, v.Envelope, v.Result.SPF)
			}
		}
	}
}

// TestRelayResults checks that results which relays add under our name stay, and
// that nobody else can add any.
func TestRelayResults(t *testing.T) {
	r := behindRelay(t, options{})
	received := field{"Received", relayReceived}
	ours := field{resultsName, " mx.example.org; auth=pass smtp.auth=joe"}
	mark := field{DefaultQuarantineField, " DMARC policy of example.com"}
	for _, test := range []struct {
		name    string
		m       mail
		removed int
	}{
		{"above", relayedMail(example(t), ours, mark, received), 0},
		{"below", relayedMail(example(t), received, ours, mark), 2},
		{"between relays", relayedMail(example(t), field{"Received", " from mx1 (mx1 [10.0.0.2]) by mx2; x"}, ours, received), 0},
		{"malformed", relayedMail(example(t), field{resultsName, " mx.example.org (; auth=pass"}, received), 1},
		{"of a name below ours", relayedMail(example(t), field{resultsName, " sub.mx.example.org; auth=pass"}, received), 1},
		{"without origin", relayedMail(example(t), ours, field{"Received", " from somewhere"}), 1},
		{"not from a relay", func() mail { m := relayedMail(example(t), ours, received); m.client = "203.0.113.5"; return m }(), 1},
		{"from one of our hosts", func() mail { m := relayedMail(example(t), ours, received); m.client = "10.9.9.9"; return m }(), 1},
	} {
		if v := r.one(test.m); v.Removed.Total() != test.removed {
			t.Errorf("%s: removed %v", test.name, v.Removed)
		}
	}
	off := behindRelay(t, options{set: func(s *Settings) { s.KeepRelayResults = false }})
	if v := off.one(relayedMail(example(t), ours, mark, received)); v.Removed.Total() != 2 {
		t.Errorf("off: removed %v", v.Removed)
	}
}

// TestRelayResultsAreSealed checks that our ARC set has the results of relays too,
// and that all fields stay if a content filter hands the message back.
func TestRelayResultsAreSealed(t *testing.T) {
	r := sealing(t, "one.example")
	s := *r.settings.Load()
	s.Relays, s.KeepRelayResults = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30")}, true
	r.Set(&s)
	m := r.pass(relayedMail(example(t), field{resultsName, " mx.example.org; auth=pass smtp.auth=joe"}, field{"Received", relayReceived}))
	const set = "ARC-Seal ARC-Message-Signature ARC-Authentication-Results Authentication-Results Authentication-Results Received"
	if !strings.HasPrefix(m.names(), set) || !strings.HasSuffix(m.fields[2].value, ";\n\tauth=pass smtp.auth=joe") {
		t.Errorf("%s\n%s", m.names(), m.fields[2].value)
	}
	m.client = "127.0.0.1"
	if again := r.pass(m); again.names() != m.names() {
		t.Errorf("handed back: %s, sent %s", again.names(), m.names())
	}
	// Not if one of them is missing.
	m.fields = append(m.fields[:4:4], m.fields[5:]...)
	if again := r.pass(m); strings.Contains(again.names(), " Authentication-Results") {
		t.Errorf("handed back without a field: %s", again.names())
	}
}
