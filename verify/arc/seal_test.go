package arc_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
)

// TestChain seals a message hop by hop, with keys of both types.
func TestChain(t *testing.T) {
	zone := keyZone(t, 7)
	msg := plain
	for hop := 1; hop <= 7; hop++ {
		var err error
		if msg, err = seal(t, sealer(t, hop), msg, zone); err != nil {
			t.Fatalf("hop %d: %v", hop, err)
		}
		for _, chunk := range []int{1, 7, 1 << 16} {
			r := verify(t, msg, zone, dkim.Options{}, chunk)
			if r.Status != arc.Pass || r.OldestPass != 0 || r.Err != nil || r.Reason != "" || len(r.Chain.Sets) != hop {
				t.Errorf("hop %d, chunks of %d: %+v", hop, chunk, r)
			}
		}
	}
	for line := range strings.SplitSeq(msg, "\r\n") {
		if width := len(strings.Replace(line, "\t", "        ", 1)); width > 78 {
			t.Errorf("a line of %d: %s", width, line)
		}
	}
}

// TestPadding checks sets whose base64 has no padding, or is padded where it was not
// before: alone, and below another set.
func TestPadding(t *testing.T) {
	for n, selector := range []string{"rsa1024", "rsa2048", "ed25519"} {
		zone := keyZone(t, 2)
		s := &arc.Sealer{Domain: fmt.Sprintf("bare%d.example", n), Selector: selector, Key: key(t, selector)}
		zone.AddTXT(selector+"._domainkey."+s.Domain, s.Key.Record())
		sealed, err := seal(t, s, plain, zone)
		if err != nil {
			t.Fatal(err)
		}
		set := strings.TrimSuffix(sealed, plain)
		start, end := strings.Index(set, "ARC-Message-Signature:"), strings.Index(set, "ARC-Authentication-Results:")
		rest := strings.TrimRight(set[start:end], "=\r\n") + "\r\n" + set[end:]
		head := set[:strings.Index(set, "b=")+len("b=")]
		value, err := s.Key.SignDigest(sealedDigest(t, head+"\r\n"+rest))
		if err != nil {
			t.Fatal(err)
		}
		for _, padding := range []string{"", "=", "==", "\r\n\t= ="} {
			set := head + base64.RawStdEncoding.EncodeToString(value) + padding + "\r\n" + rest
			once := set + plain
			if r := verify(t, once, zone, dkim.Options{}, 100); r.Status != arc.Pass {
				t.Errorf("%s%q: %+v", selector, padding, r)
			}
			twice, err := seal(t, sealer(t, 2), once, zone)
			if err != nil {
				t.Fatal(err)
			}
			if r := verify(t, twice, zone, dkim.Options{}, 100); r.Status != arc.Pass || len(r.Chain.Sets) != 2 {
				t.Errorf("%s%q below another set: %+v", selector, padding, r)
			}
		}
	}
}

// TestGolden compares the fields of a set with testdata, octet for octet.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		file string
		hops int
	}{{"rsa", 1}, {"ed25519", 2}} {
		_, zone := plain, keyZone(t, test.hops)
		msg := plain
		for hop := 1; hop < test.hops; hop++ {
			msg, _ = seal(t, sealer(t, hop), msg, zone)
		}
		s := sealer(t, test.hops)
		if test.file == "rsa" {
			s = &arc.Sealer{Domain: "hop1.example", Selector: "rsa2048", Key: key(t, "rsa2048")}
		}
		sealed, err := seal(t, s, msg, zone)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(strings.TrimSuffix(sealed, msg), "\r\n", "\n")
		path := "testdata/" + test.file + ".golden"
		if os.Getenv("AUTHMILTER_UPDATE") != "" {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", path, got, want)
		}
	}
}

// TestForwarders has a mailing list change the body in transit. The chain passes if
// the list seals afterwards, and OldestPass says since which hop the message is
// unchanged.
func TestForwarders(t *testing.T) {
	zone := keyZone(t, 4)
	msg, _ := chain(t, plain, 2)
	msg += "-- \r\nA list\r\n"
	if r := verify(t, msg, zone, dkim.Options{}, 100); r.Status != arc.Fail || r.Reason != arc.ReasonMessageSignature || r.OldestPass != arc.Absent {
		t.Errorf("changed after sealing: %+v", r)
	}
	// A list adds its footer between verifying and sealing.
	msg, _ = chain(t, plain, 1)
	sealed := resealChanged(t, sealer(t, 2), msg, msg+"-- \r\nA list\r\n", zone)
	for hop := 3; hop <= 4; hop++ {
		var err error
		if sealed, err = seal(t, sealer(t, hop), sealed, zone); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, sealed, zone, dkim.Options{}, 100); r.Status != arc.Pass || r.OldestPass != 2 {
		t.Errorf("%+v", r)
	}
}

// resealChanged seals changed with the verdict on before.
func resealChanged(t *testing.T, s *arc.Sealer, before, changed string, zone *dnstest.Zone) string {
	t.Helper()
	if r := verify(t, before, zone, dkim.Options{}, 100); r.Status != arc.Pass {
		t.Fatalf("before: %+v", r)
	}
	return sealAs(t, s, changed, verify(t, before, zone, dkim.Options{}, 100))
}

func TestNoSeal(t *testing.T) {
	zone := keyZone(t, 2)
	once, _ := chain(t, plain, 1)
	broken, err := seal(t, sealer(t, 2), strings.Replace(once, "dinner", "supper", 1), zone)
	if err != nil {
		t.Fatal(err)
	}
	dead := dnstest.MustParse(t, "$TIMEOUT rsa1024._domainkey.hop1.example\n$TIMEOUT ed25519._domainkey.hop1.example\n")
	for name, test := range map[string]struct {
		msg  string
		zone *dnstest.Zone
		err  error
	}{
		"failed before":         {broken, zone, arc.ErrBroken},
		"our own":               {once, zone, arc.ErrOwn},
		"key not available now": {once, dead, arc.ErrUnknown},
		"many From fields":      {strings.Repeat("From: a@example.com\r\n", 21) + plain, zone, arc.ErrTooManyFields},
	} {
		sealed, err := seal(t, sealer(t, 1), test.msg, test.zone)
		if !errors.Is(err, test.err) || sealed != test.msg {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSealOverFailure checks that the set over a failed chain says so, and does not
// cover that chain (RFC 8617 section 5.1.2).
func TestSealOverFailure(t *testing.T) {
	zone := keyZone(t, 3)
	twice, _ := chain(t, plain, 2)
	for name, msg := range map[string]string{
		"changed body": twice + "more\r\n",
		"a gap":        strings.Replace(twice, "ARC-Seal: i=1", "X-Seal: i=1", 1),
	} {
		sealed, err := seal(t, sealer(t, 3), msg, zone)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		set := strings.TrimSuffix(sealed, msg)
		for _, want := range []string{"ARC-Seal: i=3; ", " cv=fail;", "ARC-Message-Signature: i=3; ", "ARC-Authentication-Results: i=3; ", "arc=fail"} {
			if !strings.Contains(set, want) {
				t.Errorf("%s: no %q in\n%s", name, want, set)
			}
		}
		if r := verify(t, sealed, zone, dkim.Options{}, 100); r.Status != arc.Fail || r.Reason != arc.ReasonBroken {
			t.Errorf("%s: %+v", name, r)
		}
		// The seal verifies over its own set alone.
		digest := sealedDigest(t, set)
		p := split(t, set+"\r\n")
		tags, err := dkim.ParseTags(p.header[0].Raw)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := dkim.ParseSeal(p.header[0], tags)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := dkim.LookupKeys(ctx, zone, signature.Selector, signature.Domain)
		if err != nil {
			t.Fatal(err)
		}
		if _, policy, err := (dkim.Options{}).VerifyDigest(signature, keys, digest); err != nil || policy != nil {
			t.Errorf("%s: %v, %v", name, err, policy)
		}
	}
}

// TestMade checks that a sealer recognizes its own newest set, including one that
// marks a chain as failed, and no other.
func TestMade(t *testing.T) {
	zone := keyZone(t, 3)
	twice, _ := chain(t, plain, 2)
	over := func(msg string) string {
		sealed, err := seal(t, sealer(t, 3), msg, zone)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	first, third := over(plain), over(twice)
	failed, gap := over(twice+"more\r\n"), over("ARC-Seal: i=9; x=y\r\nARC-Seal: x\r\n"+plain)
	again, err := seal(t, sealer(t, 1), first, zone)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		msg      string
		instance int // 0: not made by the sealer
	}{
		"the first":                       {first, 1},
		"the third":                       {third, 3},
		"changed since":                   {"X-Spam: no\r\n" + third + "footer\r\n", 3},
		"over a failure":                  {failed, 3},
		"over a gap":                      {gap, 10},
		"over a failure, changed since":   {"X-Spam: no\r\n" + failed + "footer\r\n", 3},
		"no chain":                        {plain, 0},
		"another's":                       {twice, 0},
		"another's on top":                {again, 0},
		"other results":                   {strings.Replace(third, "spf=fail", "spf=pass", 1), 0},
		"other results, over a failure":   {strings.Replace(failed, "spf=fail", "spf=pass", 1), 0},
		"another status":                  {strings.Replace(failed, "cv=fail", "cv=pass", 1), 0},
		"a pass turned into a failure":    {strings.Replace(third, "cv=pass", "cv=fail", 1), 0},
		"without the results":             {strings.Replace(failed, "ARC-Authentication-Results: i=3", "X: ", 1), 0},
		"two seals, the upper one forged": {"ARC-Seal: i=3; cv=fail; a=rsa-sha256; d=hop3.example; s=rsa1024; b=AAAA\r\n" + failed, 0},
	} {
		set := sealer(t, 3).Made(split(t, test.msg).header)
		if test.instance == 0 && set != nil || test.instance > 0 && (set == nil || set.Instance != test.instance || !strings.Contains(set.Results, "spf=fail")) {
			t.Errorf("%s: %+v", name, set)
		}
	}
}

// TestFull checks the limit of 50 sets, both when verifying and when sealing.
func TestFull(t *testing.T) {
	msg, zone := chain(t, plain, arc.MaxSets)
	if r := verify(t, msg, zone, dkim.Options{}, 1<<16); r.Status != arc.Pass || r.OldestPass != 0 || len(r.Chain.Sets) != 50 {
		t.Errorf("50 sets: %s, %v", r.Status, r.Err)
	}
	if _, err := seal(t, &arc.Sealer{Domain: "other.example", Selector: "s", Key: key(t, "ed25519")}, msg, zone); !errors.Is(err, arc.ErrFull) {
		t.Errorf("one set more: %v", err)
	}
	more := msg
	for _, name := range []string{"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"} {
		i := strings.Index(msg, name+": i=50")
		field := strings.Replace(msg[i:i+strings.Index(msg[i:], "\r\nARC-")+2], "i=50", "i=51", 1)
		more = field + more
	}
	for name, text := range map[string]string{"51 sets": more, "one field too many": "ARC-Seal: i=1\r\n" + msg} {
		if r := verify(t, text, zone, dkim.Options{}, 1<<16); r.Status != arc.Fail || r.Reason != arc.ReasonTooMany {
			t.Errorf("%s: %+v", name, r)
		}
		if _, err := seal(t, sealer(t, 1), text, zone); !errors.Is(err, arc.ErrFull) {
			t.Errorf("%s, sealed: %v", name, err)
		}
	}
}

// TestAnyChangeFails changes each octet that the newest set signs, one at a time: its
// results, its signatures, the signed fields and the body.
func TestAnyChangeFails(t *testing.T) {
	msg, zone := chain(t, plain, 3)
	rnd := rand.New(rand.NewPCG(1, 2))
	unsigned := []string{"Received:", "X-Other:"}
	tried := 0
	for i := 0; i < len(msg); i++ {
		start := strings.LastIndex(msg[:i], "\r\n") + 2
		line := msg[start:]
		if i < 2 {
			line = msg
		}
		if strings.HasPrefix(line, unsigned[0]) || strings.HasPrefix(line, unsigned[1]) || strings.ContainsRune(" \t\r\n:", rune(msg[i])) {
			continue // not signed, or possibly equivalent to other white space
		}
		old := msg[i]
		c := byte('!' + rnd.IntN(94))
		if equivalent(msg, i, c) {
			continue
		}
		tried++
		changed := msg[:i] + string(c) + msg[i+1:]
		if r := verify(t, changed, zone, dkim.Options{}, 1<<16); r.Status == arc.Pass {
			t.Errorf("octet %d, %q to %q, in %.60q: pass", i, old, c, line)
		}
	}
	if tried < 2500 {
		t.Errorf("only %d octets", tried)
	}
}

// equivalent reports whether replacing octet i of msg with c makes no difference to a
// verifier: it is the same octet, or a letter of a field name in the other case.
func equivalent(msg string, i int, c byte) bool {
	if msg[i] == c {
		return true
	}
	head := strings.Index(msg, "\r\n\r\n")
	start := strings.LastIndex(msg[:i], "\r\n") + 2
	if start == 1 {
		start = 0
	}
	name := i < head && msg[start] != ' ' && msg[start] != '\t' && !strings.Contains(msg[start:i], ":")
	return name && strings.EqualFold(string(msg[i]), string(c))
}

// TestOrder shuffles the fields, whose order does not matter to a chain.
func TestOrder(t *testing.T) {
	msg, zone := chain(t, plain, 3)
	head, body, _ := strings.Cut(msg, "\r\n\r\n")
	var fields []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if line[0] == ' ' || line[0] == '\t' {
			fields[len(fields)-1] += "\r\n" + line
			continue
		}
		fields = append(fields, line)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		// Only names of the chain occur twice, and instances order those fields.
		rnd.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		shuffled := strings.Join(fields, "\r\n") + "\r\n\r\n" + body
		if r := verify(t, shuffled, zone, dkim.Options{}, 1<<16); r.Status != arc.Pass || r.OldestPass != 0 {
			t.Fatalf("%+v\n%s", r, shuffled)
		}
	}
}

// TestAddedFields adds fields, some of which a signature must prevent.
func TestAddedFields(t *testing.T) {
	msg, zone := chain(t, plain, 1)
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-ID"} {
		if r := verify(t, name+": other\r\n"+msg, zone, dkim.Options{}, 1<<16); r.Status != arc.Fail {
			t.Errorf("another %s: %s", name, r.Status)
		}
	}
	for _, name := range []string{"Received", "Authentication-Results", "List-Id", "DKIM-Signature", "Return-Path", "X-Spam"} {
		if r := verify(t, name+": other\r\n"+msg, zone, dkim.Options{}, 1<<16); r.Status != arc.Pass {
			t.Errorf("another %s: %s, %v", name, r.Status, r.Err)
		}
	}
}

// TestForgedChain counts the keys that a chain of forged sets makes us look up, in
// the worst case: the newest set is genuine and belongs to the forger.
func TestForgedChain(t *testing.T) {
	forged := forgedChain(t, plain)
	zone := keyZone(t, 1)
	r := verify(t, forged, zone, dkim.Options{}, 1<<16)
	if r.Status != arc.Fail {
		t.Fatalf("%+v", r)
	}
	asked := zone.Queries()
	slices.Sort(asked)
	if asked = slices.Compact(asked); len(asked) > 2 {
		t.Errorf("%d keys: %q", len(asked), asked)
	}
}

// forgedChain returns a chain of 50 sets of which only the newest is genuine, by
// hop1.example.
func forgedChain(t testing.TB, msg string) string {
	t.Helper()
	for i := 1; i < arc.MaxSets; i++ {
		cv := "pass"
		if i == 1 {
			cv = "none"
		}
		d := fmt.Sprintf("victim%d.example", i)
		msg = fmt.Sprintf("ARC-Seal: i=%d; a=rsa-sha256; t=1; cv=%s; d=%s; s=s; b=AAAA\r\n", i, cv, d) +
			fmt.Sprintf("ARC-Message-Signature: i=%d; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=m; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n", i, d) +
			fmt.Sprintf("ARC-Authentication-Results: i=%d; mx.%s; dmarc=pass header.from=example.com\r\n", i, d) + msg
	}
	r := verify(t, msg, dnstest.MustParse(t, ""), dkim.Options{}, 1<<16)
	r.Status = arc.Pass // as the forger claims
	return sealAs(t, sealer(t, 1), msg, r)
}
