package verify_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

func TestHeloResult(t *testing.T) {
	h := header("From: joe@football.example.com")
	null := envelope
	null.MailFrom = ""
	for _, test := range []struct {
		name     string
		env      verify.Envelope
		on       bool
		identity spf.Identity
		helo     bool
	}{
		{"off", envelope, false, spf.MailFrom, false},
		{"on", envelope, true, spf.MailFrom, true},
		{"off, null sender", null, false, spf.Helo, false},
		{"on, null sender", null, true, spf.Helo, false}, // it is the result already
	} {
		res := run(verify.New(verify.Options{Resolver: newResolver(t), HeloResult: test.on}), test.env, h)
		if res.SPF.Identity != test.identity || res.SPF.Status != spf.Pass || (res.Helo != nil) != test.helo {
			t.Errorf("%s: %+v, %+v", test.name, res.SPF, res.Helo)
		}
		if res.Helo != nil && (res.Helo.Identity != spf.Helo || res.Helo.Status != spf.Pass || res.Helo.Domain != "mx.football.example.com") {
			t.Errorf("%s: %+v", test.name, res.Helo)
		}
	}
	// For DMARC, a pass for HELO is not a pass for MAIL FROM.
	forged := envelope
	forged.MailFrom, forged.Helo = "x@victim.example", "football.example.com"
	if res := run(verify.New(verify.Options{Resolver: newResolver(t), HeloResult: true}), forged, h); res.Helo.Status != spf.Pass || res.DMARC.Status != dmarc.Fail {
		t.Errorf("helo=%s dmarc=%s", res.Helo.Status, res.DMARC.Status)
	}
}

func TestExplain(t *testing.T) {
	h, body := example(t)
	for _, on := range []bool{false, true} {
		res := run(verify.New(verify.Options{Resolver: newResolver(t), Explain: on, HeloResult: true}), envelope, h, body)
		if !on {
			if len(res.Lookups) != 0 || len(res.Steps) != 0 {
				t.Errorf("recorded without Explain: %v, %v", res.Lookups, res.Steps)
			}
			continue
		}
		var names []string
		for _, e := range res.Lookups {
			names = append(names, e.Name)
		}
		for _, name := range []string{spfName, "mx.football.example.com", dmarcName, edName, rsaName} {
			if !slices.Contains(names, name) {
				t.Errorf("no look-up of %s in %v", name, names)
			}
		}
		if len(names) != res.Queries || len(res.Steps) == 0 {
			t.Errorf("%d look-ups of %d, %d steps", len(names), res.Queries, len(res.Steps))
		}
	}
}

// TestVerdicts verifies messages with each kind of outcome.
func TestVerdicts(t *testing.T) {
	signed, body := example(t)
	elsewhere := envelope
	elsewhere.ClientIP = netip.MustParseAddr("198.51.100.9")
	foreign := envelope
	foreign.MailFrom, foreign.Helo = "x@nowhere.example", "nowhere.example"
	changed := slices.Concat(body, []byte("Buy now!\r\n"))
	for _, test := range []struct {
		name   string
		env    verify.Envelope
		header message.Header
		body   []byte
		want   string // spf, dkim..., dmarc, disposition, author
	}{
		{"all pass", envelope, signed, body, "pass pass pass pass none football.example.com"},
		{"forwarded", elsewhere, signed, body, "fail pass pass pass none football.example.com"},
		{"changed by a list, from another host", foreign, signed, changed, "none fail fail fail reject football.example.com"},
		{"changed, from its host", envelope, signed, changed, "pass fail fail pass none football.example.com"},
		{"unsigned", elsewhere, header("From: joe@football.example.com"), body, "fail fail reject football.example.com"},
		{"no policy", foreign, header("From: a@nowhere.example"), body, "none none none nowhere.example"},
		{"no From", envelope, header("To: a@football.example.com"), body, "pass permerror none "},
		{"two From fields", envelope, header("From: a@football.example.com", "From: b@victim.example"), body, "pass fail reject victim.example"},
		{"two From fields, the other order", envelope, header("From: b@victim.example", "From: a@football.example.com"), body, "pass fail reject victim.example"},
		{"two authors in one field", envelope, header("From: a@football.example.com, b@victim.example"), body, "pass fail reject victim.example"},
		{"two authors, neither with a policy", foreign, header("From: a@nowhere.example, b@elsewhere.example"), body, "none none none nowhere.example"},
		{"an unreadable author beside one", foreign, header("From: a@victim.example, b@[192.0.2.1]"), body, "none fail reject victim.example"},
		{"too many authors, one with a policy", foreign, header("From: a@b1.example, a@b2.example, a@b3.example, a@b4.example, a@b5.example, a@victim.example"), body, "none fail reject victim.example"},
		{"too many authors", foreign, header("From: a@b1.example, a@b2.example, a@b3.example, a@b4.example, a@b5.example, a@nowhere.example"), body, "none permerror none "},
	} {
		res := run(verify.New(verify.Options{Resolver: newResolver(t)}), test.env, test.header, test.body)
		if got := summary(res); got != test.want {
			t.Errorf("%s: %s, want %s (%v)", test.name, got, test.want, res.DMARC.Err)
		}
	}
}

// summary returns the status words of a Result.
func summary(r *verify.Result) string {
	words := []string{string(r.SPF.Status)}
	for _, d := range r.DKIM {
		words = append(words, string(d.Status))
	}
	return strings.Join(append(words, string(r.DMARC.Status), string(r.DMARC.Disposition), r.DMARC.Author), " ")
}

// TestChunksDoNotMatter checks that the result of a message does not depend on how
// its body is split.
func TestChunksDoNotMatter(t *testing.T) {
	h, body := example(t)
	v := verify.New(verify.Options{Resolver: newResolver(t)})
	want := run(v, envelope, h, body)
	check := func(how any, chunks ...[]byte) {
		t.Helper()
		if got := run(v, envelope, h, chunks...); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, want %+v", how, got, want)
		}
	}
	for i := range len(body) + 1 {
		check(i, body[:i], body[i:])
	}
	octets := make([][]byte, len(body))
	for i := range body {
		octets[i] = body[i : i+1]
	}
	check("octets", octets...)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var chunks [][]byte
		for rest := body; len(rest) > 0; {
			n := rnd.IntN(min(len(rest), 9) + 1) // sometimes none
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		check("random", chunks...)
	}
}

// TestFailedIsCounted checks that the results of Failed have reasons that are counted.
func TestFailedIsCounted(t *testing.T) {
	r := verify.Failed(errors.New("internal error"))
	if o := (spf.Outcome{Status: r.SPF.Status, Reason: r.SPF.Reason}); !slices.Contains(spf.Outcomes(), o) {
		t.Errorf("spf: %q is no outcome", o)
	}
	if o := (dkim.Outcome{Status: r.DKIM[0].Status, Reason: r.DKIM[0].Reason}); !slices.Contains(dkim.Outcomes(), o) {
		t.Errorf("dkim: %q is no outcome", o)
	}
	if o := (dmarc.Outcome{Status: r.DMARC.Status, Reason: r.DMARC.Reason}); !slices.Contains(dmarc.Outcomes(), o) {
		t.Errorf("dmarc: %q is no outcome", o)
	}
}
