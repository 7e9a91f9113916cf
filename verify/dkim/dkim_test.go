package dkim_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

var ctx = context.Background()

// now is when the messages of the tests arrive.
var now = time.Unix(1_600_000_000, 0)

// verify returns the results of all signatures of msg, whose body arrives in
// pieces of at most chunk octets.
func verify(t testing.TB, msg string, z *dnstest.Zone, opts dkim.Options, chunk int) []dkim.Result {
	t.Helper()
	header, r, err := message.ReadHeader(bufio.NewReader(strings.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	body := &message.Body{}
	all := dkim.Begin(opts, &dkim.Input{
		Header:  header,
		Index:   message.NewIndex(header),
		Authors: header.Author().Domains,
		Body:    body,
		Now:     now,
	})
	for _, v := range all {
		if v.NeedsKey() {
			v.FetchKey(ctx, z)
		}
	}
	for len(rest) > 0 {
		n := min(chunk, len(rest))
		_, _ = body.Write(rest[:n])
		rest = rest[n:]
	}
	var results []dkim.Result
	for _, v := range all {
		results = append(results, v.Result(body))
	}
	return results
}

// The example of RFC 6376 appendix A.2 is indented by six spaces and has one
// space within its body where the text of the RFC shows five and two: that is
// what was signed.
func TestExamplesOfTheRFCs(t *testing.T) {
	z := dnstest.MustParse(t, `
brisbane._domainkey.example.com. IN TXT ("v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ"
  "KBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"
  "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v"
  "/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi"
  "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB")
brisbane._domainkey.football.example.com. IN TXT (
 "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
test._domainkey.football.example.com. IN TXT (
 "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
 "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
 "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
 "Ip3G+2kryOTIKT+l/K4w3QIDAQAB")
`)
	for file, want := range map[string]int{"rfc6376.eml": 1, "rfc8463.eml": 2} {
		msg, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, chunk := range []int{1, 7, 1 << 20} {
			results := verify(t, string(msg), z, dkim.Options{}, chunk)
			if len(results) != want {
				t.Errorf("%s: %d signatures", file, len(results))
			}
			for _, r := range results {
				if r.Status != dkim.Pass {
					t.Errorf("%s: %s %s: %s (%v)", file, r.Signature.Domain, r.Signature.Algorithm, r.Status, r.Err)
				}
			}
		}
	}
}

// Keys of the tests, made once.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	ed25519Key = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		return key
	})
)

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// newTestKey512 returns a key too small for crypto/rsa to make or use.
func newTestKey512() *rsa.PrivateKey {
	n := new(big.Int).Lsh(big.NewInt(1), 511)
	return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n.Add(n, big.NewInt(0x1234567)), E: 65537}}
}

// record returns the key record of a public key.
func record(public crypto.PublicKey, tags string) string {
	if key, ok := public.(ed25519.PublicKey); ok {
		return "v=DKIM1; k=ed25519; " + tags + "p=" + base64.StdEncoding.EncodeToString(key)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return "v=DKIM1; " + tags + "p=" + base64.StdEncoding.EncodeToString(der)
}

// sign returns msg with a signature field on top, whose tags are those given
// and bh= and b=. It is written from RFC 6376 section 3.7 in the plainest way:
// h=, c= and l= are read from tags, and msg has CRLF line ends.
func sign(key crypto.Signer, tags, msg string) string {
	list, err := dkim.ParseTags(tags)
	if err != nil {
		panic(err)
	}
	headerCanon, bodyCanon := message.Simple, message.Simple
	if c, ok := list.Get("c"); ok {
		if headerCanon, bodyCanon, err = message.ParseCanon(c); err != nil {
			panic(err)
		}
	}
	head, body, _ := strings.Cut(msg, "\r\n\r\n")
	header, _, err := message.ReadHeader(bufio.NewReader(strings.NewReader(head+"\r\n\r\n")), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		panic(err)
	}
	digest := message.Digest{Canon: bodyCanon, Hash: crypto.SHA256, Length: message.WholeBody}
	if l, ok := list.Get("l"); ok {
		fmt.Sscan(l, &digest.Length)
	}
	b := &message.Body{}
	b.Want(digest)
	_, _ = b.Write([]byte(body))
	value := " " + tags + "; bh=" + base64.StdEncoding.EncodeToString(b.Sum(digest)) + ";\r\n b="

	h, _ := list.Get("h")
	used := map[int]bool{}
	hash := sha256.New()
	for name := range strings.SplitSeq(h, ":") {
		for i := len(header) - 1; i >= 0; i-- {
			if !used[i] && header[i].Is(strings.ToLower(strings.TrimSpace(name))) {
				used[i] = true
				hash.Write(headerCanon.AppendField(nil, header[i]))
				break
			}
		}
	}
	own := headerCanon.AppendField(nil, message.Field{Name: "DKIM-Signature", Raw: value})
	hash.Write(bytes.TrimSuffix(own, []byte("\r\n")))
	opts := crypto.SignerOpts(crypto.SHA256)
	if _, ok := key.(ed25519.PrivateKey); ok {
		opts = crypto.Hash(0)
	}
	signature, err := key.Sign(rand.Reader, hash.Sum(nil), opts)
	if err != nil {
		panic(err)
	}
	return "DKIM-Signature:" + value + base64.StdEncoding.EncodeToString(signature) + "\r\n" + msg
}

const (
	plain = "Received: from a\r\n\tby b; now\r\nFrom: Joe <joe@example.com>\r\nTo: you@example.net\r\nSubject:  odd  \t spacing\r\n  and folding \r\nDate: today\r\n\r\nHello  world \r\n\r\nbye\r\n\r\n\r\n"
	tags  = "v=1; a=rsa-sha256; d=example.com; s=s1; c=relaxed/relaxed; h=from:to:subject:date:subject"
)

// with returns tags with one of them replaced, or removed where value is "".
func with(name, value string) string {
	var out []string
	list, _ := dkim.ParseTags(tags)
	for _, tag := range list {
		if tag.Name != name {
			out = append(out, tag.Name+"="+tag.Value)
		}
	}
	if value != "" {
		out = append(out, name+"="+value)
	}
	return strings.Join(out, "; ")
}

func zone(t testing.TB) *dnstest.Zone {
	z := dnstest.MustParse(t, `
alias._domainkey.example.com. CNAME alias-example-com._domainkey.example.net.
text._domainkey.example.com.  TXT "hello"
$TIMEOUT dead._domainkey.example.com
$RCODE SERVFAIL broken._domainkey.example.com
nodata._domainkey.example.com. A 192.0.2.1
`)
	rsaPublic, ed := rsaKey().Public(), ed25519Key().Public()
	for name, txt := range map[string]string{
		"s1._domainkey.example.com":                record(rsaPublic, ""),
		"s1._domainkey.xn--bcher-kva.example":      record(rsaPublic, ""),
		"ed._domainkey.example.com":                record(ed, ""),
		"alias-example-com._domainkey.example.net": record(rsaPublic, "k=rsa; "),
		"test._domainkey.example.com":              record(rsaPublic, "t=y; "),
		"strict._domainkey.example.com":            record(rsaPublic, "t=y:s; "),
		"sha1._domainkey.example.com":              record(rsaPublic, "h=sha1; "),
		"sha256._domainkey.example.com":            record(rsaPublic, "h=sha1:sha256; "),
		"other._domainkey.example.com":             record(rsaPublic, "s=other; "),
		"email._domainkey.example.com":             record(rsaPublic, "s=other:email; "),
		"notes._domainkey.example.com":             record(rsaPublic, "n=notes; x=unknown; "),
		"revoked._domainkey.example.com":           "v=DKIM1; p=",
		"pkcs1._domainkey.example.com":             "p=" + base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(rsaPublic.(*rsa.PublicKey))),
		"version._domainkey.example.com":           "v=DKIM2; p=x",
		"late._domainkey.example.com":              "p=AAAA; v=DKIM1",
		"junk._domainkey.example.com":              "v=DKIM1; p=AAAA",
		"base64._domainkey.example.com":            "v=DKIM1; p=%%%",
		"nokey._domainkey.example.com":             "v=DKIM1; k=rsa",
		"type._domainkey.example.com":              "v=DKIM1; k=dsa; p=AAAA",
		"short._domainkey.example.com":             "v=DKIM1; k=ed25519; p=AAAA",
		"dup._domainkey.example.com":               "v=DKIM1; p=AAAA; p=BBBB",
		"long._domainkey.example.com":              "v=DKIM1; p=" + strings.Repeat("A", 20_000),
	} {
		z.AddTXT(name, txt)
	}
	z.AddTXT("text._domainkey.example.com", record(rsaPublic, ""))
	return z
}

func TestVerdicts(t *testing.T) {
	z := zone(t)
	small := newTestKey512()
	z.AddTXT("small._domainkey.example.com", record(&small.PublicKey, ""))
	signed := sign(rsaKey(), tags, plain)
	edit := func(from, to string) string {
		if !strings.Contains(signed, from) {
			t.Fatalf("no %q in the message", from)
		}
		return strings.Replace(signed, from, to, 1)
	}
	pad := func(n int64) string { return fmt.Sprint(n) }
	for _, test := range []struct {
		name   string
		msg    string
		opts   dkim.Options
		status dkim.Status
		reason dkim.Reason
	}{
		{name: "pass", msg: signed, status: dkim.Pass},
		{name: "simple", msg: sign(rsaKey(), with("c", "simple/simple"), plain), status: dkim.Pass},
		{name: "default canonicalization", msg: sign(rsaKey(), with("c", ""), plain), status: dkim.Pass},
		{name: "ed25519", msg: sign(ed25519Key(), "v=1; a=ed25519-sha256; d=example.com; s=ed; h=From", plain), status: dkim.Pass},
		{name: "repeated names in another case", msg: sign(rsaKey(), with("h", "FROM:To:to:Received:From"), plain), status: dkim.Pass},
		{name: "folds and white space in the field", msg: sign(rsaKey(), "v = 1;\r\n a=rsa-sha256 ; d= example.com;s=s1 ;\r\n\th=from : to\r\n : date;c=simple", plain), status: dkim.Pass},
		{name: "unknown tag", msg: sign(rsaKey(), tags+"; foo=b=x; z=From:b=y|b=", plain), status: dkim.Pass},
		{name: "semicolon at the end", msg: sign(rsaKey(), tags+";", plain), status: dkim.Pass},
		{name: "identity in a subdomain", msg: sign(rsaKey(), with("i", "joe@sub.example.com"), plain), status: dkim.Pass},
		{name: "expiry ahead", msg: sign(rsaKey(), tags+"; t=1599999999; x=1600000001", plain), status: dkim.Pass},
		{name: "expiry within the skew", msg: sign(rsaKey(), tags+"; x=1599999900", plain), status: dkim.Pass},
		{name: "U-labels", msg: sign(rsaKey(), with("d", "bücher.example")+"; i=ü@bücher.example", plain), status: dkim.Pass},
		{name: "case of the domain", msg: sign(rsaKey(), with("d", "EXAMPLE.com"), plain), status: dkim.Pass},
		{name: "aliased key", msg: sign(rsaKey(), with("s", "alias"), plain), status: dkim.Pass},
		{name: "key for tests", msg: sign(rsaKey(), with("s", "test"), plain), status: dkim.Pass},
		{name: "key with hashes", msg: sign(rsaKey(), with("s", "sha256"), plain), status: dkim.Pass},
		{name: "key for email", msg: sign(rsaKey(), with("s", "email"), plain), status: dkim.Pass},
		{name: "key with notes", msg: sign(rsaKey(), with("s", "notes"), plain), status: dkim.Pass},
		{name: "key without SubjectPublicKeyInfo", msg: sign(rsaKey(), with("s", "pkcs1"), plain), status: dkim.Pass},
		{name: "other text beside the key", msg: sign(rsaKey(), with("s", "text"), plain), status: dkim.Pass},
		{name: "l= is the whole body", msg: sign(rsaKey(), tags+"; l=20", plain), status: dkim.Pass},
		{name: "l= accepted", msg: sign(rsaKey(), tags+"; l=5", plain), opts: dkim.Options{AllowPartialBody: true}, status: dkim.Pass},

		{name: "body changed", msg: edit("bye", "Bye"), status: dkim.Fail, reason: dkim.ReasonBodyHash},
		{name: "header changed", msg: edit("Joe", "Jim"), status: dkim.Fail, reason: dkim.ReasonSignature},
		{name: "oversigned field added", msg: edit("Date:", "Subject: x\r\nDate:"), status: dkim.Fail, reason: dkim.ReasonSignature},
		{name: "own tag changed", msg: edit("v=1;", "v=1; foo=bar;"), status: dkim.Fail, reason: dkim.ReasonSignature},
		{name: "l= beyond the body", msg: sign(rsaKey(), tags+"; l=21", plain), status: dkim.Fail, reason: dkim.ReasonBodyLength},

		{name: "weak key, refused by configuration", msg: signed, opts: dkim.Options{MinRSABits: 3072}, status: dkim.Policy, reason: dkim.ReasonWeakKey},
		{name: "weak key and broken", msg: edit("bye", "Bye"), opts: dkim.Options{MinRSABits: 3072}, status: dkim.Fail, reason: dkim.ReasonBodyHash},
		{name: "key of 512 bits", msg: sign(rsaKey(), with("s", "small"), plain), status: dkim.Policy, reason: dkim.ReasonWeakKey},
		{name: "key too large", msg: signed, opts: dkim.Options{MaxRSABits: 1024}, status: dkim.Policy, reason: dkim.ReasonLargeKey},
		{name: "rsa-sha1", msg: sign(rsaKey(), with("a", "rsa-sha1")+"; bh=", plain), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "rsa-sha1", msg: strings.Replace(edit("rsa-sha256", "rsa-sha1"), "bh=", "bh=AAAAAAAAAAAAAAAAAAAAAAAAAAA=; foo=", 1), status: dkim.Policy, reason: dkim.ReasonWeakHash},
		{name: "l= leaves body unsigned", msg: sign(rsaKey(), tags+"; l=5", plain), status: dkim.Policy, reason: dkim.ReasonPartialBody},
		{name: "l=0", msg: sign(rsaKey(), tags+"; l=0", plain), status: dkim.Policy, reason: dkim.ReasonPartialBody},
		{name: "second From", msg: "From: eve@example.net\r\n" + signed, status: dkim.Policy, reason: dkim.ReasonUnsignedDuplicate},
		{name: "second Subject", msg: "Subject: x\r\n" + sign(rsaKey(), with("h", "from:subject"), plain), status: dkim.Policy, reason: dkim.ReasonUnsignedDuplicate},

		{name: "no tags", msg: "DKIM-Signature: \r\n" + plain, status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "no list", msg: "DKIM-Signature: hello\r\n" + plain, status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "duplicate tag", msg: edit("v=1;", "v=1; v=1;"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "no version", msg: edit("v=1;", ""), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "version 2", msg: edit("v=1;", "v=2;"), status: dkim.Neutral, reason: dkim.ReasonVersion},
		{name: "unknown algorithm", msg: edit("rsa-sha256", "rsa-sha3"), status: dkim.Neutral, reason: dkim.ReasonAlgorithm},
		{name: "unknown canonicalization", msg: edit("c=relaxed/relaxed", "c=relaxed/nofws"), status: dkim.Neutral, reason: dkim.ReasonCanonicalization},
		{name: "unknown query method", msg: edit("s=s1;", "s=s1; q=http/x;"), status: dkim.Neutral, reason: dkim.ReasonQuery},
		{name: "known query method among others", msg: sign(rsaKey(), tags+"; q=http/x : dns/txt", plain), status: dkim.Pass},
		{name: "no d=", msg: edit("d=example.com;", ""), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "bad d=", msg: edit("d=example.com", "d=example.com(.example.net"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "top-level d=", msg: edit("d=example.com", "d=com"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "no s=", msg: edit("s=s1;", ""), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "bad s=", msg: edit("s=s1;", "s=s 1;"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "no h=", msg: edit("h=from", "hh=from"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "empty name in h=", msg: edit("h=from:", "h=from::"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "long h=", msg: edit("h=from:", "h=from:"+strings.Repeat("x:", 2000)), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "no bh=", msg: edit("bh=", "bhh="), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "short bh=", msg: edit("bh=", "bh=AAAA; x="), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "no b=", msg: edit("\r\n b=", "\r\n bb="), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "long b=", msg: edit("\r\n b=", "\r\n b="+strings.Repeat("AAAA", 2000)), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "foreign i=", msg: edit("s=s1;", "s=s1; i=joe@example.net;"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "i= without a domain", msg: edit("s=s1;", "s=s1; i=joe;"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "bad l=", msg: edit("s=s1;", "s=s1; l=-1;"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "bad t=", msg: edit("s=s1;", "s=s1; t=now;"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "x= before t=", msg: edit("s=s1;", "s=s1; t=2; x=1;"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "expired", msg: sign(rsaKey(), tags+"; x=1599990000", plain), status: dkim.Neutral, reason: dkim.ReasonExpired},
		{name: "from the future", msg: sign(rsaKey(), tags+"; t=1600001000", plain), status: dkim.Neutral, reason: dkim.ReasonFuture},
		{name: "from a distant future", msg: sign(rsaKey(), tags+"; t="+strings.Repeat("9", 40), plain), status: dkim.Neutral, reason: dkim.ReasonFuture},
		{name: "never expires", msg: sign(rsaKey(), tags+"; x="+strings.Repeat("9", 40), plain), status: dkim.Pass},
		{name: "l= without bound", msg: sign(rsaKey(), tags+"; l="+pad(1<<62), plain), status: dkim.Fail, reason: dkim.ReasonBodyLength},

		{name: "DNS silent", msg: sign(rsaKey(), with("s", "dead"), plain), status: dkim.TempError, reason: dkim.ReasonDNS},
		{name: "DNS broken", msg: sign(rsaKey(), with("s", "broken"), plain), status: dkim.TempError, reason: dkim.ReasonDNS},

		{name: "From not signed", msg: sign(rsaKey(), with("h", "to:date"), plain), status: dkim.PermError, reason: dkim.ReasonFromNotSigned},
		{name: "no such key", msg: sign(rsaKey(), with("s", "absent"), plain), status: dkim.PermError, reason: dkim.ReasonNoKey},
		{name: "no TXT", msg: sign(rsaKey(), with("s", "nodata"), plain), status: dkim.PermError, reason: dkim.ReasonNoKey},
		{name: "revoked", msg: sign(rsaKey(), with("s", "revoked"), plain), status: dkim.PermError, reason: dkim.ReasonRevoked},
		{name: "key for another hash", msg: sign(rsaKey(), with("s", "sha1"), plain), status: dkim.PermError, reason: dkim.ReasonKeyUse},
		{name: "key for another service", msg: sign(rsaKey(), with("s", "other"), plain), status: dkim.PermError, reason: dkim.ReasonKeyUse},
		{name: "key of another type", msg: sign(rsaKey(), with("s", "ed"), plain), status: dkim.PermError, reason: dkim.ReasonKeyUse},
		{name: "strict key and subdomain", msg: sign(rsaKey(), with("s", "strict")+"; i=@sub.example.com", plain), status: dkim.PermError, reason: dkim.ReasonKeyUse},
		{name: "strict key and the domain itself", msg: sign(rsaKey(), with("s", "strict")+"; i=@EXAMPLE.com", plain), status: dkim.Pass},
		{name: "key version", msg: sign(rsaKey(), with("s", "version"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "key version not first", msg: sign(rsaKey(), with("s", "late"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "key is junk", msg: sign(rsaKey(), with("s", "junk"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "key is not base64", msg: sign(rsaKey(), with("s", "base64"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "record without a key", msg: sign(rsaKey(), with("s", "nokey"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "unknown key type", msg: sign(rsaKey(), with("s", "type"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "short ed25519 key", msg: sign(rsaKey(), with("s", "short"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "duplicate tag in the key", msg: sign(rsaKey(), with("s", "dup"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
		{name: "long key", msg: sign(rsaKey(), with("s", "long"), plain), status: dkim.PermError, reason: dkim.ReasonKeySyntax},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, chunk := range []int{1, 3, 1 << 20} {
				results := verify(t, test.msg, z, test.opts, chunk)
				if len(results) != 1 {
					t.Fatalf("%d results", len(results))
				}
				r := results[0]
				if r.Status != test.status || r.Reason != test.reason {
					t.Errorf("got %s (%s: %v), want %s (%s)", r.Status, r.Reason, r.Err, test.status, test.reason)
				}
				if (r.Err == nil) != (r.Status == dkim.Pass) || r.Signature == nil {
					t.Errorf("error %v, signature %v", r.Err, r.Signature)
				}
			}
		})
	}
}

func TestManySignatures(t *testing.T) {
	z := zone(t)
	signed := sign(rsaKey(), tags, plain) // the author's, and the last of all
	for range 500 {
		signed = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n" + signed
	}
	results := verify(t, signed, z, dkim.Options{}, 1<<20)
	count := map[dkim.Reason]int{}
	passed := 0
	for _, r := range results {
		count[r.Reason]++
		if r.Status == dkim.Pass {
			passed++
		}
	}
	if passed != 1 || count[dkim.ReasonNoKey] != 9 || count[dkim.ReasonTooMany] != 10 || len(results) != 20 {
		t.Errorf("%d passed of %d, by reason %v", passed, len(results), count)
	}
	if n := len(z.Queries()); n != 10 {
		t.Errorf("%d look-ups", n)
	}
}

// TestAnyChangeBreaks holds that no change of one octet in a signed field, in
// the signature field or in the body keeps a pass, but for those that
// canonicalization undoes.
func TestAnyChangeBreaks(t *testing.T) {
	z := zone(t)
	msg := sign(ed25519Key(), "v=1; a=ed25519-sha256; d=example.com; s=ed; h=from:to:subject:date", plain)
	if r := verify(t, msg, z, dkim.Options{}, 100); r[0].Status != dkim.Pass {
		t.Fatal(r[0].Err)
	}
	received := strings.Index(msg, "Received:")
	from := strings.Index(msg, "From:")
	for i := range msg {
		if received <= i && i < from {
			continue // not signed
		}
		for _, flip := range []byte{0x01, 0x20, 0x80} {
			changed := []byte(msg)
			changed[i] ^= flip
			for _, r := range verify(t, string(changed), z, dkim.Options{}, 100) {
				// The case of a field name in h= does not count, nor that of
				// "DKIM-Signature" itself in any canonicalization but simple.
				if r.Status == dkim.Pass && !harmless(msg, i, flip) {
					t.Errorf("%q at %d became %q: still a pass", msg[i], i, changed[i])
				}
			}
		}
	}
}

// harmless tells whether a change cannot matter: base64 has bits that mean
// nothing at its end, and white space within b= is not a part of it.
func harmless(msg string, i int, flip byte) bool {
	b := strings.Index(msg, "\r\n b=") + len("\r\n b=")
	end := b + strings.Index(msg[b:], "\r\n")
	return i >= end-4 && i < end+2
}

func FuzzTags(f *testing.F) {
	for _, s := range []string{tags, "v=DKIM1; k=rsa; p=", "a=b;;c=\r\n d ; e = f=g;", " ", "v=1; v=1", "=x", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := dkim.ParseTags(s)
		if err != nil {
			return
		}
		again, err := dkim.ParseTags(list.String())
		if err != nil || again.String() != list.String() || len(again) != len(list) {
			t.Fatalf("%q: once %q, twice %q, %v", s, list, again, err)
		}
		for i := range list {
			if list[i].Name != again[i].Name || list[i].Value != again[i].Value {
				t.Fatalf("%q: %+v, then %+v", s, list[i], again[i])
			}
		}
	})
}

func FuzzSignature(f *testing.F) {
	for _, s := range []string{
		tags + "; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA",
		"v=1; a=ed25519-sha256; d=bücher.example; s=ü; i=ü@a.bücher.example; h=From : to; l=0; t=1; x=2; q=dns/txt; c=relaxed; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=A A\r\n AA",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := dkim.ParseSignature(message.Field{Name: "DKIM-Signature", Raw: s})
		if once == nil {
			t.Fatal("no signature")
		}
		if err != nil {
			return
		}
		// Written anew from what was understood, it means the same.
		canon := once.HeaderCanon.String() + "/" + once.BodyCanon.String()
		text := fmt.Sprintf("v=1; a=%s; d=%s; s=%s; i=%s; c=%s; h=%s; bh=%s; b=%s", once.Algorithm, once.Domain, once.Selector,
			once.Identity, canon, strings.Join(once.Fields, ":"), base64.StdEncoding.EncodeToString(once.BodyHash), once.Text)
		for name, n := range map[string]int64{"l": once.Length, "t": once.Time, "x": once.Expires} {
			if n != dkim.Absent {
				text += fmt.Sprintf("; %s=%d", name, n)
			}
		}
		twice, err := dkim.ParseSignature(message.Field{Name: "DKIM-Signature", Raw: text})
		if err != nil {
			// Two different numbers beyond int64 read the same.
			if once.Time == 1<<63-1 {
				return
			}
			t.Fatalf("%q: %v", text, err)
		}
		if a, b := fmt.Sprintf("%+v", exported(once)), fmt.Sprintf("%+v", exported(twice)); a != b {
			t.Fatalf("%q\nonce  %s\ntwice %s", s, a, b)
		}
	})
}

// exported returns what a program sees of s.
func exported(s *dkim.Signature) any {
	return []any{s.Algorithm, s.KeyType, s.Hash, s.Domain, s.Selector, s.Identity, s.IdentityDomain, s.Fields,
		s.HeaderCanon, s.BodyCanon, s.BodyHash, s.Value, s.Length, s.Time, s.Expires}
}

func FuzzKey(f *testing.F) {
	f.Add("v=DKIM1; k=ed25519; t=y:s; h=sha256; s=email; n=x; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
	f.Add("p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB")
	f.Add("v=DKIM1; p=")
	f.Fuzz(func(t *testing.T, s string) {
		once, err := dkim.ParseKey(s)
		if err != nil {
			return
		}
		text := "v=DKIM1; "
		if once.Hashes != nil {
			text += "h=" + strings.Join(once.Hashes, ":") + "; "
		}
		if once.Services != nil {
			text += "s=" + strings.Join(once.Services, ":") + "; "
		}
		switch {
		case once.Testing && once.Strict:
			text += "t=y:s; "
		case once.Testing:
			text += "t=y; "
		case once.Strict:
			text += "t=s; "
		}
		twice, err := dkim.ParseKey(strings.TrimPrefix(record(once.Public, ""), "v=DKIM1; ") + "; " + strings.TrimPrefix(text, "v=DKIM1; "))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("%q\nonce  %+v\ntwice %+v", s, once, twice)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	msg := plain
	for i := range 25 {
		msg = fmt.Sprintf("X-Field-%d: some text of usual length for a header field\r\n", i) + msg
	}
	msg = sign(rsaKey(), tags, msg)
	header, _, err := message.ReadHeader(bufio.NewReader(strings.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		b.Fatal(err)
	}
	_, body, _ := strings.Cut(msg, "\r\n\r\n")
	chunk := []byte(body)
	z := zone(b)
	key, err := dkim.LookupKey(ctx, z, "s1", "example.com")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m := &message.Body{}
		all := dkim.Begin(dkim.Options{}, &dkim.Input{Header: header, Index: message.NewIndex(header), Body: m, Now: now})
		all[0].UseKey(key)
		_, _ = m.Write(chunk)
		if r := all[0].Result(m); r.Status != dkim.Pass {
			b.Fatal(r.Err)
		}
	}
}
