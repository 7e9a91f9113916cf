package arc_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

var ctx = context.Background()

// now is when the messages of the tests arrive.
var now = time.Unix(1_600_000_000, 0)

// parsed is a parsed message.
type parsed struct {
	header message.Header
	index  *message.Index
	body   []byte
}

func split(t testing.TB, msg string) parsed {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(msg))
	header, _, err := message.ReadHeader(r, message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(msg, "\r\n\r\n")
	return parsed{header, message.NewIndex(header), []byte(body)}
}

// verify returns the result of the chain of msg, whose body arrives in pieces of
// at most chunk octets.
func verify(t testing.TB, msg string, r dns.Resolver, opts dkim.Options, chunk int) arc.Result {
	t.Helper()
	p := split(t, msg)
	body := &message.Body{}
	v := arc.Begin(opts, &dkim.Input{Header: p.header, Index: p.index, Body: body, Now: now})
	if v != nil {
		v.CheckHeader(func(n arc.KeyName) ([]*dkim.Key, error) {
			return dkim.LookupKeys(ctx, r, n.Selector, n.Domain)
		})
	}
	for rest := p.body; len(rest) > 0; {
		n := min(chunk, len(rest))
		_, _ = body.Write(rest[:n])
		rest = rest[n:]
	}
	return v.Result(body)
}

// key returns the private key in the named file of the tests. The name is its
// selector too.
func key(t testing.TB, name string) *dkim.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("../../test/testdata/keys/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	k, err := dkim.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealer returns the sealer of hop n.
func sealer(t testing.TB, n int) *arc.Sealer {
	names := []string{"rsa1024", "ed25519", "rsa2048"}
	name := names[n%len(names)]
	return &arc.Sealer{Domain: fmt.Sprintf("hop%d.example", n), Selector: name, Key: key(t, name)}
}

// keyZone publishes the keys of the first n hops.
func keyZone(t testing.TB, n int) *dnstest.Zone {
	t.Helper()
	zone := dnstest.MustParse(t, "")
	for i := 1; i <= n; i++ {
		s := sealer(t, i)
		zone.AddTXT(s.Selector+"._domainkey."+s.Domain, s.Key.Record())
	}
	return zone
}

// seal returns msg with one more set on top, or an error if there is none.
func seal(t testing.TB, s *arc.Sealer, msg string, r dns.Resolver) (string, error) {
	t.Helper()
	set, err := sealWith(t, s, msg, verify(t, msg, r, dkim.Options{}, 1<<16))
	return set + msg, err
}

// sealAs is like seal, for a sealer that got the given result, rightly or not.
func sealAs(t testing.TB, s *arc.Sealer, msg string, result arc.Result) string {
	t.Helper()
	set, err := sealWith(t, s, msg, result)
	if err != nil {
		t.Fatal(err)
	}
	return set + msg
}

func sealWith(t testing.TB, s *arc.Sealer, msg string, result arc.Result) (set string, err error) {
	t.Helper()
	p := split(t, msg)
	body := &message.Body{}
	body.Want(arc.SealDigest())
	_, _ = body.Write(p.body)
	fields, err := s.Seal(&arc.SealInput{
		Header:     p.header,
		Index:      p.index,
		BodyHash:   body.Sum(arc.SealDigest()),
		Chain:      &result,
		AuthservID: "mx." + s.Domain,
		Results: []authres.Method{
			{Name: "dkim", Result: "pass", Comment: "2048-bit key; good", Props: []authres.Prop{
				{Type: "header", Name: "d", Value: "example.com"}, {Type: "header", Name: "i", Value: "a;b@example.com"}}},
			{Name: "spf", Result: "fail", Reason: "matched -all", Props: []authres.Prop{{Type: "smtp", Name: "mailfrom", Value: "joe@example.com"}}},
			{Name: "arc", Result: string(result.Status)},
		},
		At: now,
	})
	for _, f := range fields {
		set = f.Name + ":" + f.Raw + "\r\n" + set
	}
	return set, err
}

// sealedDigest returns the digest that the seal of set, its first field, signs.
func sealedDigest(t testing.TB, set string) []byte {
	t.Helper()
	h := split(t, set+"\r\n").header
	state := sha256.New()
	for _, i := range []int{2, 1} { // results, signature
		state.Write(message.Relaxed.AppendField(nil, h[i]))
	}
	raw := h[0].Raw[:strings.LastIndex(h[0].Raw, "b=")+len("b=")]
	state.Write(bytes.TrimSuffix(message.Relaxed.AppendField(nil, message.Field{Name: h[0].Name, Raw: raw}), []byte("\r\n")))
	return state.Sum(nil)
}

// chain returns msg after hops 1 to n, and a zone that publishes their keys.
func chain(t testing.TB, msg string, n int) (string, *dnstest.Zone) {
	t.Helper()
	zone := keyZone(t, n)
	for i := 1; i <= n; i++ {
		sealed, err := seal(t, sealer(t, i), msg, zone)
		if err != nil {
			t.Fatalf("hop %d: %v", i, err)
		}
		msg = sealed
	}
	return msg, zone
}

// plain is a message before its first hop.
const plain = "Received: from a by b\r\n" +
	"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s; h=from; bh=AAAA; b=AAAA\r\n" +
	"From: Joe <joe@example.com>\r\n" +
	"To: list@hop1.example\r\n" +
	"Subject: dinner,\r\n  tonight\r\n" +
	"Date: Thu, 14 Jan 2021 15:00:01 -0800\r\n" +
	"Message-ID: <1@example.com>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: text/plain\r\n" +
	"X-Other: not signed\r\n" +
	"\r\n" +
	"We lost the game.  Are you hungry?\r\n" +
	"\r\n" +
	"Joe.\r\n"
