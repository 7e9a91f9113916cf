// Package oracle compares our engines with independent ones, on many generated
// inputs. A difference is a failure unless a rule explains it, and each rule
// names the standard that decides.
package oracle

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

var rounds = flag.Int("rounds", 4000, "how many inputs each comparison generates")

// random is a deterministic source of choices.
type random struct{ *rand.Rand }

func newRandom(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 1))} }

// one returns one of list.
func one[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

// key is a signing key and the name that it is published under.
type key struct {
	signer   crypto.Signer
	selector string
}

// publish makes the keys of the comparison, and a zone that publishes them.
func publish(t *testing.T) ([]key, *dnstest.Zone) {
	t.Helper()
	z := dnstest.MustParse(t, "")
	r, err := rsa.GenerateKey(bytesOf(1), 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, e, err := ed25519.GenerateKey(bytesOf(2))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(r.Public())
	if err != nil {
		t.Fatal(err)
	}
	z.AddTXT("rsa._domainkey.example.com", "v=DKIM1; p="+base64.StdEncoding.EncodeToString(der))
	z.AddTXT("strict._domainkey.example.com", "v=DKIM1; t=s; p="+base64.StdEncoding.EncodeToString(der))
	z.AddTXT("ed._domainkey.example.com", "v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(e.Public().(ed25519.PublicKey)))
	return []key{{r, "rsa"}, {r, "strict"}, {e, "ed"}}, z
}

// bytesOf returns a source of octets for keys, which need not be secret.
func bytesOf(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// newMessage returns a message with odd spacing, odd folding and all kinds of
// line ends that a signer can meet.
func newMessage(r random) string {
	var b strings.Builder
	field := func(name string) {
		fmt.Fprintf(&b, "%s:%s%s\r\n", name, one(r, " ", "", "  ", "\t", "\r\n "), words(r, one(r, " ", "  ", "\t", "\r\n\t", " \r\n  ")))
	}
	for range r.IntN(3) {
		field("Received")
	}
	fmt.Fprintf(&b, "%s:%sJoe <joe@%s>\r\n", one(r, "From", "FROM", "from"), one(r, " ", "", "\r\n\t"), one(r, "example.com", "sub.example.com"))
	for _, name := range []string{"To", "Subject", "Date", "X-Empty", "Subject", "List-Id", "X-Ünicode"} {
		switch {
		case name == "X-Ünicode":
			fmt.Fprintf(&b, "X-Text: ü %s\r\n", words(r, " "))
		case name == "X-Empty":
			b.WriteString(one(r, "X-Empty:\r\n", "X-Empty: \r\n", ""))
		case r.IntN(4) > 0:
			field(name)
		}
	}
	b.WriteString("\r\n")
	for range r.IntN(8) {
		b.WriteString(one(r, "text", "two  words", "tab\there", " leading", "trailing \t ", "", " ", "ü\xff", ".dot", words(r, " ")))
		b.WriteString("\r\n")
	}
	for range r.IntN(3) {
		b.WriteString("\r\n")
	}
	return b.String()
}

func words(r random, space string) string {
	list := make([]string, 1+r.IntN(4))
	for i := range list {
		list[i] = one(r, "alpha", "b=beta", "gamma;", "d", "(e)", "\"f g\"")
	}
	return strings.Join(list, space)
}

// signed returns msg signed by go-msgauth.
func signed(t *testing.T, r random, keys []key, msg string) string {
	t.Helper()
	k := one(r, keys...)
	canon := []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed}
	opts := &msgauth.SignOptions{
		Domain:                 "example.com",
		Selector:               k.selector,
		Identifier:             one(r, "", "", "@example.com", "joe@sub.example.com"),
		Signer:                 k.signer,
		Hash:                   crypto.SHA256,
		HeaderCanonicalization: one(r, canon...),
		BodyCanonicalization:   one(r, canon...),
		HeaderKeys: one(r,
			[]string{"From"},
			[]string{"From", "To", "Subject", "Date"},
			[]string{"from", "FROM", "subject", "Subject", "subject", "x-empty"},
			[]string{"From", "Received", "Received", "Received", "X-Text", "List-Id"}),
		Expiration: one(r, time.Time{}, time.Now().Add(time.Hour), time.Now().Add(-time.Hour)),
	}
	var b bytes.Buffer
	if err := msgauth.Sign(&b, strings.NewReader(msg), opts); err != nil {
		t.Fatalf("%v\n%q", err, msg)
	}
	return b.String()
}

// mutate changes msg in a way that may or may not matter.
func mutate(r random, msg string) string {
	head, body, _ := strings.Cut(msg, "\r\n\r\n")
	switch r.IntN(14) {
	case 0: // one octet
		i := r.IntN(len(msg))
		if strings.IndexByte("\r\n:", msg[i]) >= 0 || i > 0 && msg[i-1] == '\n' {
			// If a header contains a line that is not a field, the MTA decides
			// where the header ends, not a verifier.
			return msg
		}
		return msg[:i] + string(rune('!'+r.IntN(90))) + msg[i+1:]
	case 1:
		return msg + one(r, "x", "\r\n", "x\r\n", " \r\n")
	case 2:
		return strings.TrimSuffix(msg, "\r\n")
	case 3:
		return one(r, "Subject: more\r\n", "From: eve@example.net\r\n", "X-New: field\r\n", "Received: x\r\n", "DKIM-Signature: x\r\n") + msg
	case 4:
		return head + one(r, "\r\nSubject: more", "\r\nFrom: eve@example.net", "\r\nX-New: field", "\r\nTo: x") + "\r\n\r\n" + body
	case 5:
		return strings.Replace(msg, "v=1;", one(r, "v=1; foo=bar;", "v=2;", "", "v=1;v=1;", " v = 1 ;"), 1)
	case 6:
		return strings.Replace(msg, "c=", one(r, "l=0; c=", "l=3; c=", "l=99999; c=", "l=x; c=", "t=9999999999; c="), 1)
	case 7:
		return strings.Replace(msg, "a=rsa", one(r, "a=RSA", "a=dsa", "a=ed25519"), 1)
	case 8:
		return strings.Replace(msg, "d=example.com", one(r, "d=EXAMPLE.com", "d=example.org", "d=com", "d=", "dd=example.com"), 1)
	case 9:
		return strings.Replace(msg, "h=", one(r, "h=To:", "h=", "hh="), 1)
	case 10:
		return head + "\r\n\r\n" + strings.ReplaceAll(body, "  ", " ")
	case 11:
		return strings.Replace(msg, "Subject:", one(r, "subject:", "SUBJECT:", "Subject :", "Subject: "), 1)
	case 12:
		return strings.Replace(msg, "\r\n\t", "\r\n ", 1)
	}
	return msg
}

// ours returns our results.
func ours(t *testing.T, msg string, z *dnstest.Zone) []dkim.Result {
	t.Helper()
	header, rest, err := message.ReadHeader(bufio.NewReader(strings.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		t.Fatal(err)
	}
	body := &message.Body{}
	all := dkim.Begin(dkim.Options{}, &dkim.Input{Header: header, Index: message.NewIndex(header), Body: body, Now: time.Now()})
	for _, v := range all {
		if v.NeedsKey() {
			v.FetchKey(context.Background(), z)
		}
	}
	if _, err := io.Copy(body, rest); err != nil {
		t.Fatal(err)
	}
	results := make([]dkim.Result, len(all))
	for i, v := range all {
		results[i] = v.Result(body)
	}
	return results
}

// rule explains a difference between the two.
type rule struct {
	name string
	// explains reports whether the rule explains it; theirs is go-msgauth's error.
	explains func(ours dkim.Result, theirs error, msg string) bool
}

// dkimRules are the known differences.
var dkimRules = []rule{
	{"t=s requires i= to equal d=: RFC 6376 section 3.6.1", func(o dkim.Result, theirs error, _ string) bool {
		return theirs == nil && o.Reason == dkim.ReasonKeyUse && o.Key != nil && o.Key.Strict
	}},
	{"a second From or Subject is not signed: RFC 6376 section 8.15", func(o dkim.Result, theirs error, _ string) bool {
		return theirs == nil && o.Reason == dkim.ReasonUnsignedDuplicate
	}},
}

func TestDKIM(t *testing.T) {
	keys, z := publish(t)
	lookup := func(name string) ([]string, error) {
		a, err := z.TXT(context.Background(), name)
		return a.Values, err
	}
	r := newRandom(6376)
	used := map[string]int{}
	passed, failed := 0, 0
	for range *rounds {
		msg := signed(t, r, keys, newMessage(r))
		for range r.IntN(3) {
			msg = mutate(r, msg)
		}
		mine := ours(t, msg, z)
		theirs, err := msgauth.VerifyWithOptions(strings.NewReader(msg), &msgauth.VerifyOptions{LookupTXT: lookup})
		if err != nil {
			// Not about one signature but the whole message, such as a missing header.
			continue
		}
		if len(mine) != len(theirs) {
			t.Errorf("we find %d signatures, they find %d\n%q", len(mine), len(theirs), msg)
			continue
		}
		for i, m := range mine {
			if m.Status == dkim.Pass {
				passed++
			} else {
				failed++
			}
			if (m.Status == dkim.Pass) == (theirs[i].Err == nil) {
				continue
			}
			at := slices.IndexFunc(dkimRules, func(r rule) bool { return r.explains(m, theirs[i].Err, msg) })
			if at < 0 {
				t.Errorf("we find %s (%v), they find %v\n%q", m.Status, m.Err, theirs[i].Err, msg)
				continue
			}
			used[dkimRules[at].name]++
		}
	}
	if passed < *rounds/10 || failed < *rounds/10 {
		t.Errorf("%d passed and %d failed: too few to compare", passed, failed)
	}
	for _, rule := range dkimRules {
		if used[rule.name] == 0 {
			t.Errorf("no difference is explained by: %s", rule.name)
		}
	}
	t.Logf("%d passed, %d failed; differences: %v", passed, failed, used)
}
