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
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

var ctx = context.Background()

// now is when the messages of the tests arrive.
var now = time.Unix(1_600_000_000, 0)

// verify returns the results of all signatures of msg, whose body arrives in
// pieces of at most chunk octets.
func verify(t testing.TB, msg string, r dns.Resolver, opts dkim.Options, chunk int) []dkim.Result {
	t.Helper()
	header, text := split(msg)
	rest := []byte(text)
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
			v.FetchKey(ctx, r)
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

// Keys of the tests, made once.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	otherRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	ed25519Key  = sync.OnceValue(func() ed25519.PrivateKey {
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

// sign returns msg with a signature field on top, whose tags are tags, bh= and b=.
// It follows RFC 6376 section 3.7 in the simplest way: h=, c= and l= are read from
// tags, and msg must have CRLF line ends.
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

// with returns tags with one of them replaced, or removed if value is "".
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
circle._domainkey.example.com. CNAME circle2.example.com.
circle2.example.com. CNAME circle._domainkey.example.com.
dangling._domainkey.example.com. CNAME gone.example.net.
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
