package milter

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
)

// attack is a message as an attacker sends it, with additions.
type attack struct {
	mail
	recipients []string
	// dead is set if a name below the author domain was added whose servers do not
	// answer: then nobody knows whether it vouches for the message.
	dead bool
	// split is set if the author became part of the display name of another, in a
	// way that splits readers: then its policy leads to a quarantine at most.
	split bool
	// relayed is set if it comes through a relay of ours.
	relayed bool
}

// wire returns the mail as our MTA gets it: a relay adds a Received field at the top,
// replaces in it what Postfix replaces in a HELO, and breaks a long line.
func (a *attack) wire() mail {
	if !a.relayed {
		return a.mail
	}
	helo := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`<>()\";:@`, r) {
			return '?'
		}
		return r
	}, a.helo)
	line := " from " + helo + " (unknown [" + a.client + "])"
	if most := 998 - len("Received:"); len(line) > most {
		line = line[:most] + "\n " + line[most:]
	}
	return relayedMail(a.mail, field{"Received", line + "\n\tby mx1.example.org (Postfix) with ESMTP id 1; x"})
}

// forged returns how many fields of a claim to be ours.
func (a *attack) forged(own policy.OwnFields) (n int) {
	for _, f := range a.fields {
		if kind := own.Kind(f.name); own.Forged(kind, f.name, f.value) {
			n++
		}
	}
	return n
}

// attackZone is the DNS used in attacks: the bank, the attacker, and names of both
// that fail.
const attackZone = `
bank.example. TXT "v=spf1 ip4:192.0.2.10 -all"
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
shop.example. TXT "v=spf1 -all"
_dmarc.shop.example. TXT "v=DMARC1; p=quarantine"
own.example. TXT "v=spf1 -all"
_dmarc.quiet.example. TXT "v=DMARC1; p=none"
attacker.example. TXT "v=spf1 ip4:203.0.113.5 -all"
_dmarc.attacker.example. TXT "v=DMARC1; p=reject"
loop._domainkey.bank.example. CNAME loop2.bank.example.
loop2.bank.example. CNAME loop._domainkey.bank.example.
$RCODE SERVFAIL dead._domainkey.bank.example
$RCODE SERVFAIL dead._domainkey.shop.example
$RCODE SERVFAIL dead._domainkey.own.example
$RCODE SERVFAIL dead._domainkey.attacker.example
$RCODE SERVFAIL dead.bank.example
$RCODE SERVFAIL _dmarc.dead.bank.example
$TIMEOUT silent.example
$TIMEOUT _dmarc.silent.example
$TIMEOUT _dmarc.silent.attacker.example
`

// victims are messages that are not accepted, with the rules that prevent it.
var victims = []struct {
	name string
	from string
	mail string
	// authorDomain is the domain that the attacker pretends to be.
	authorDomain string
	// byPolicy is set if the policy of that domain prevents it.
	byPolicy bool
	rules    policy.Rules
}{
	{name: "p=reject", from: "joe@bank.example", authorDomain: "bank.example", byPolicy: true},
	{name: "p=reject, its own sender", from: "joe@bank.example", mail: "joe@bank.example", authorDomain: "bank.example", byPolicy: true},
	{name: "p=quarantine", from: "joe@shop.example", authorDomain: "shop.example", byPolicy: true},
	{name: "p=reject, below it", from: "joe@gone.bank.example", authorDomain: "bank.example", byPolicy: true},
	{name: "p=reject, below a dead name", from: "joe@dead.bank.example", authorDomain: "bank.example", byPolicy: true},
	{name: "an author that nobody can judge", from: "joe@%bank.example"},
	{name: "spf_fail", from: "joe@own.example", mail: "joe@own.example", authorDomain: "own.example",
		rules: policy.Rules{PerReason: policy.PerReason{SPF: policy.Reject, Author: policy.Quarantine, SeveralFrom: policy.Quarantine}}},
	{name: "dkim_missing", from: "joe@own.example", authorDomain: "own.example",
		rules: policy.Rules{PerReason: policy.PerReason{DKIM: policy.Reject, DKIMRequired: []string{"own.example"}, Author: policy.Quarantine, SeveralFrom: policy.Quarantine}}},
	{name: "override by author", from: "joe@quiet.example", authorDomain: "quiet.example",
		rules: policy.Rules{Overrides: []policy.Override{
			asking(policy.ActionAccept, "author_domain", "attacker.example"),
			asking(policy.ActionQuarantine, "author_domain", "silent.example"),
			asking(policy.ActionReject, "author_domain", "quiet.example"),
		}}},
	{name: "override by recipient", from: "joe@quiet.example", authorDomain: "quiet.example",
		rules: policy.Rules{Overrides: []policy.Override{
			asking(policy.ActionAccept, "recipient", "other.example"),
			asking(policy.ActionQuarantine, "recipient", "third.example"),
			asking(policy.ActionReject, "recipient", "receiver.example"),
		}}},
	{name: "override by list", from: "joe@quiet.example", authorDomain: "quiet.example",
		rules: policy.Rules{Overrides: []policy.Override{
			asking(policy.ActionReportOnly, "list_id", "other.example"),
			asking(policy.ActionReject, "list_id", "list.example"),
		}}},
	{name: "accepted for others", from: "joe@bank.example", authorDomain: "bank.example", byPolicy: true,
		rules: policy.Rules{Overrides: []policy.Override{
			asking(policy.ActionSkip, "author_domain", "attacker.example", "mail_from", "attacker.example"),
			asking(policy.ActionAccept, "recipient", "other.example"),
			asking(policy.ActionQuarantine, "list_id", "list.example", "author_domain", "quiet.example"),
		}}},
}

// additions are what a sender can add to a message at no cost.
var additions = []struct {
	name string
	add  func(rnd *rand.Rand, a *attack, domain string)
}{
	{"another author", func(rnd *rand.Rand, a *attack, _ string) {
		author := choose(rnd,
			"x@attacker.example", "x@silent.example", "x@silent.attacker.example", "x@a.b.c.d.e.f.g.h.silent.example",
			"x@quiet.example", "x@nothing.example", "x@dead.bank.example", `"X, Y" <x@attacker.example>`, "G: x@attacker.example;",
			"x@localhost", "=?utf-8?q?x?= <x@attacker.example>", "<@attacker.example:x@attacker.example>")
		a.edit("From", func(v string) string {
			if rnd.IntN(2) == 0 {
				return " " + author + "," + v
			}
			return v + ", " + author
		})
	}},
	{"many authors", func(rnd *rand.Rand, a *attack, _ string) {
		a.edit("From", func(v string) string {
			for i := range 1 + rnd.IntN(12) {
				v = fmt.Sprintf(" x@a%d.attacker.example,%s", i, v)
			}
			return v
		})
	}},
	{"decoration of the author", func(rnd *rand.Rand, a *attack, _ string) {
		a.edit("From", func(v string) string {
			return choose(rnd, " (x@attacker.example)"+v, v+" (x@attacker.example)", " "+v+" ", "\n\t"+v, v+"\n (c)", " ,"+v, v+",", v+";", v+" <")
		})
	}},
	{"a display name around the author", func(rnd *rand.Rand, a *attack, _ string) {
		a.split = true
		a.edit("From", func(v string) string {
			v = strings.ReplaceAll(v, "\n", "\n ")
			other := choose(rnd, " <x@attacker.example>", " <x@attacker.example>", " <x@silent.example>", " <x@quiet.example>", " <x@[192.0.2.1]>", " <x@attacker.example", " <<x@attacker.example>>")
			return choose(rnd, v+" (Docs)", v+" [Docs]", " [Docs]"+v, " Docs: [x]"+v, v+" \"Docs\" x", " =?utf-8?q?Docs?= [x]"+v) + other
		})
	}},
	{"another From field", func(rnd *rand.Rand, a *attack, _ string) {
		a.put(rnd, field{choose(rnd, "From", "FROM", "From ", "from\t"), choose(rnd,
			" x@attacker.example", " x@silent.example", "", " ", " <>", " undisclosed:;", " x@[192.0.2.1]", " \xff", " joe")})
	}},
	{"a field", func(rnd *rand.Rand, a *attack, _ string) {
		a.put(rnd, field{
			choose(rnd, "Sender", "Reply-To", "Subject", "List-Id", "List-ID", "To", "Resent-From", "X-Disposition-Quarantine",
				"Authentication-Results", "ARC-Authentication-Results", "Received-SPF", "Received", "Return-Path"),
			choose(rnd, " <other.example>", " <list.example>", " x@attacker.example", " mx.example.org; dmarc=pass header.from=bank.example",
				" i=1; mx.example.org; dmarc=pass header.from=bank.example", " pass", ""),
		})
	}},
	{"more fields than are read", func(rnd *rand.Rand, a *attack, _ string) {
		many := slices.Repeat([]field{{"X", ""}}, maxFields)
		if rnd.IntN(2) == 0 {
			a.fields = append(many, a.fields...)
		} else {
			a.fields = append(a.fields, many...)
		}
	}},
	{"a list", func(rnd *rand.Rand, a *attack, _ string) {
		a.put(rnd, field{"List-Id", choose(rnd, " <other.example>", " x <y.other.example>", " <other.example> <list.example>", " none", " <")})
	}},
	{"a signature", func(rnd *rand.Rand, a *attack, domain string) {
		if domain == "" {
			domain = "bank.example"
		}
		d := choose(rnd, domain, "attacker.example", "sub."+domain, "silent.example")
		s := choose(rnd, "dead", "loop", "none", "revoked")
		a.dead = a.dead || s == "dead" && strings.HasSuffix(d, domain)
		a.put(rnd, field{"DKIM-Signature", fmt.Sprintf(" v=%s; a=%s; c=%s; d=%s; s=%s; h=%s;\n bh=%s; b=%s%s",
			choose(rnd, "1", "1", "1", "2"), choose(rnd, "rsa-sha256", "ed25519-sha256", "rsa-sha1"), choose(rnd, "relaxed/relaxed", "simple/simple"),
			d, s, choose(rnd, "from", "from:to:subject", "to"),
			choose(rnd, bodyHash, bodyHash, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
			choose(rnd, strings.Repeat("A", 342)+"==", strings.Repeat("A", 86)+"==", "AAAA"), choose(rnd, "", "; l=0", "; x=1", "; t=99999999999"))})
	}},
	{"a seal", func(rnd *rand.Rand, a *attack, _ string) {
		a.put(rnd, field{"ARC-Seal", " i=1; cv=none; a=rsa-sha256; d=attacker.example; s=dead; b=" + strings.Repeat("A", 342) + "=="})
		a.put(rnd, field{"ARC-Message-Signature", " i=1; a=rsa-sha256; d=attacker.example; s=dead; h=from; bh=" + bodyHash + "; b=" + strings.Repeat("A", 342) + "=="})
		a.put(rnd, field{"ARC-Authentication-Results", " i=1; attacker.example; dmarc=pass header.from=bank.example"})
	}},
	{"recipients", func(rnd *rand.Rand, a *attack, _ string) {
		for i := range 1 + rnd.IntN(4) {
			r := choose(rnd, "x@other.example", "<x@other.example>", "x@third.example", "postmaster", "x@[192.0.2.1]", fmt.Sprintf("x@d%d.example", i))
			if rnd.IntN(2) == 0 {
				a.recipients = append(a.recipients, r)
			} else {
				a.recipients = append([]string{r}, a.recipients...)
			}
		}
	}},
	{"decoration of the sender", func(rnd *rand.Rand, a *attack, _ string) {
		if a.from != "" && !strings.ContainsAny(a.from, "<>() ") {
			a.from = fmt.Sprintf(choose(rnd, "<%s>", "< %s >", "(c)<%s>", "<<%s>>", "<%s> SIZE=100", "<@attacker.example:%s>"), a.from)
		}
	}},
	{"a place on the way", func(rnd *rand.Rand, a *attack, _ string) {
		// 192.0.2.10 may send for the bank, and the rest are relays.
		a.put(rnd, field{choose(rnd, "Received", "received", "Received "), choose(rnd,
			" from mail.bank.example (mail.bank.example [192.0.2.10])\n\tby mx1.example.org (Postfix) with ESMTP id 1; x",
			" from mx2 (mx2 [10.0.0.2])\n\tby mx1.example.org (Postfix) with ESMTP id 1; x",
			" from localhost (localhost [127.0.0.1])\n\tby mx1.example.org (Postfix) with ESMTP id 1; x",
			" by mx1.example.org (Postfix, from userid 0) id 1; x", " x", "")})
	}},
	{"results of a relay", func(rnd *rand.Rand, a *attack, domain string) {
		a.put(rnd, field{"Authentication-Results", choose(rnd, " mx.example.org;", " MX.example.org 1;") + choose(rnd,
			" dmarc=pass header.from="+domain, " auth=pass smtp.auth=joe", " spf=pass smtp.mailfrom=192.0.2.10")})
	}},
	{"another greeting", func(rnd *rand.Rand, a *attack, _ string) {
		a.helo = choose(rnd, "mail.bank.example (mail.bank.example [192.0.2.10])", "x [192.0.2.10] by y", "[10.0.0.1]", "silent.example", "attacker.example", "dead.bank.example", `"a"`, "[203.0.113.5]", "x", strings.Repeat("a.", 200)+"example",
			strings.Repeat("a", 950+rnd.IntN(30)))
	}},
}

// maxFields is the maximum number of header fields in these tests.
const maxFields = 50

// bodyHash is the hash of attackBody in relaxed canonicalization.
const (
	attackBody = "Your account is locked.\r\n"
	bodyHash   = "2txMo8DoPqZCRA/DLZ0j6GQtNBgSNyZ6R3bqYIhNK1g="
)

// edit changes the value of the first field called name.
func (a *attack) edit(name string, change func(string) string) {
	for i, f := range a.fields {
		if f.name == name {
			a.fields[i].value = change(f.value)
			return
		}
	}
}

// put adds a field at the top or at the bottom.
func (a *attack) put(rnd *rand.Rand, f field) {
	if rnd.IntN(2) == 0 {
		a.fields = append([]field{f}, a.fields...)
	} else {
		a.fields = append(a.fields, f)
	}
}

func choose(rnd *rand.Rand, list ...string) string { return list[rnd.IntN(len(list))] }

// severity orders dispositions.
func severity(d policy.Disposition) int {
	switch d {
	case policy.Reject:
		return 3
	case policy.Defer:
		return 2
	case policy.Quarantine:
		return 1
	}
	return 0
}

// judge sends a over the wire, and returns the verdict on it.
func (r *rig) judge(a *attack) *policy.Verdict {
	r.t.Helper()
	s, err := gomilter.NewClient("tcp", r.addr).Session(gomilter.NewMacroBag())
	if err != nil {
		r.t.Fatal(err)
	}
	defer s.Close()
	m := a.wire()
	r.open(s, m)
	r.must(s.Mail(a.from, ""))
	for _, rcpt := range a.recipients {
		r.must(s.Rcpt(rcpt, ""))
	}
	r.must(s.DataStart())
	r.header(s, m)
	if _, _, err := s.BodyReadFrom(strings.NewReader(a.body)); err != nil {
		r.t.Fatal(err)
	}
	v := r.seen.take()
	if len(v) != 1 {
		r.t.Fatalf("%d verdicts for one message", len(v))
	}
	return v[0]
}

// victim returns the message for victims[n].
func victim(n int) attack {
	v := victims[n]
	a := attack{
		mail: mail{
			client: "203.0.113.5", helo: "h.attacker.example", from: "x@attacker.example",
			fields: []field{{"From", " " + v.from}, {"Subject", " x"}, {"List-Id", " <list.example>"}},
			body:   attackBody,
		},
		recipients: []string{"ann@receiver.example"},
	}
	if v.mail != "" {
		a.from = v.mail
	}
	return a
}

// checkAttack checks that random additions to a message that is not accepted never
// make its disposition milder. There are documented exceptions: a signature of the
// author's domain, or a sender below it, whose servers do not answer turns a
// rejection into a deferral; more authors than are judged turn it into a quarantine;
// and so does another author in the only angle brackets, who passes, unless the
// receiver's own rules ask for the rejection.
func checkAttack(t *testing.T, r *rig, rnd *rand.Rand) {
	t.Helper()
	n := rnd.IntN(len(victims))
	v := victims[n]
	s := *r.settings.Load()
	rules := v.rules
	rules.Mode = policy.ModeEnforce
	if rules.PerReason.Author == "" {
		rules.PerReason.Author, rules.PerReason.SeveralFrom = policy.Quarantine, policy.Quarantine
	}
	s.Rules = &rules
	r.Set(&s)
	plain := victim(n)
	plain.relayed = rnd.IntN(2) == 0
	want := r.judge(&plain).Decision.Disposition
	if severity(want) == 0 {
		t.Fatalf("%s: accepted before anything was added", v.name)
	}
	a := victim(n)
	a.relayed = plain.relayed
	var added []string
	for range 1 + rnd.IntN(4) {
		add := additions[rnd.IntN(len(additions))]
		add.add(rnd, &a, v.authorDomain)
		added = append(added, add.name)
	}
	last := r.judge(&a)
	got := last.Decision.Disposition
	if n := a.forged(s.ownFields(policy.NotSkipped)); last.Removed.Total() != n {
		t.Errorf("%d fields removed, not %d, after adding %s: %q", last.Removed.Total(), n, strings.Join(added, ", "), a.fields)
	}
	least := severity(want)
	if a.dead {
		least = min(least, severity(policy.Defer))
	}
	if a.split && v.byPolicy {
		least = min(least, severity(policy.Quarantine))
	}
	if severity(got) < least {
		t.Errorf("%s was %s, but is %s after adding %s\nMAIL %q RCPT %q HELO %q\n%q\nreason %s, override %+v, dmarc=%s (%v) spf=%s (%v)\nauthors %q (%v)",
			v.name, want, got, strings.Join(added, ", "), a.from, a.recipients, a.helo, a.fields,
			last.Decision.Reason, last.Decision.Override, last.Result.DMARC.Status, last.Result.DMARC.Err, last.Result.SPF.Status, last.Result.SPF.Err,
			last.Result.Author.Domains, last.Result.Author.Err)
	}
}

// adversary starts a rig that enforces, for attacks.
func adversary(t *testing.T) *rig {
	return behindRelay(t, options{zone: attackZone, verify: func(o *verify.Options) {
		o.IPRev = true
		o.MaxHeaderFields = maxFields
	}})
}

// attacks returns how many attacks to try: a thousand, or tens of thousands if
// AUTHMILTER_LONG is set.
func attacks() int {
	if os.Getenv("AUTHMILTER_LONG") != "" {
		return 50_000
	}
	return 1_000
}

// TestNothingAddedHelps tries random additions to messages that are not accepted.
func TestNothingAddedHelps(t *testing.T) {
	r := adversary(t)
	rnd := rand.New(rand.NewPCG(10, 1998))
	for range attacks() {
		if checkAttack(t, r, rnd); t.Failed() {
			return
		}
	}
}

// FuzzNothingAddedHelps is TestNothingAddedHelps with a seed from the fuzzer.
func FuzzNothingAddedHelps(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, seed*seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		checkAttack(t, adversary(t), rand.New(rand.NewPCG(a, b)))
	})
}
