package dkim_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
)

// TestExamplesOfTheRFCs verifies the signed messages of the RFCs. The example of
// RFC 6376 appendix A.2 is indented by six spaces and has one space within its body,
// while the text of the RFC shows five and two: that is what was signed.
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
	reached := map[dkim.Reason]bool{}
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
		{name: "key of 512 bits, allowed by configuration", msg: sign(rsaKey(), with("s", "small"), plain), opts: dkim.Options{MinRSABits: 512}, status: dkim.Policy, reason: dkim.ReasonWeakKey},
		{name: "weak key and a second From", msg: "From: eve@example.net\r\n" + signed, opts: dkim.Options{MinRSABits: 3072}, status: dkim.Policy, reason: dkim.ReasonUnsignedDuplicate},
		{name: "weak key and l=", msg: sign(rsaKey(), tags+"; l=5", plain), opts: dkim.Options{MinRSABits: 3072}, status: dkim.Policy, reason: dkim.ReasonWeakKey},
		{name: "key too large", msg: signed, opts: dkim.Options{MaxRSABits: 1024}, status: dkim.Policy, reason: dkim.ReasonLargeKey},
		{name: "rsa-sha1", msg: sign(rsaKey(), with("a", "rsa-sha1")+"; bh=", plain), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "rsa-sha1", msg: strings.Replace(edit("rsa-sha256", "rsa-sha1"), "bh=", "bh=AAAAAAAAAAAAAAAAAAAAAAAAAAA=; foo=", 1), status: dkim.Policy, reason: dkim.ReasonWeakHash},
		{name: "l= leaves body unsigned", msg: sign(rsaKey(), tags+"; l=5", plain), status: dkim.Policy, reason: dkim.ReasonPartialBody},
		{name: "l=0", msg: sign(rsaKey(), tags+"; l=0", plain), status: dkim.Policy, reason: dkim.ReasonPartialBody},
		{name: "second From", msg: "From: eve@example.net\r\n" + signed, status: dkim.Policy, reason: dkim.ReasonUnsignedDuplicate},
		{name: "second Subject", msg: "Subject: x\r\n" + sign(rsaKey(), with("h", "from:subject"), plain), status: dkim.Policy, reason: dkim.ReasonUnsignedDuplicate},

		{name: "second To beside one that is signed", msg: "To: eve@example.net\r\n" + sign(rsaKey(), with("h", "from:to"), plain), status: dkim.Policy, reason: dkim.ReasonUnsignedDuplicate},
		{name: "second To beside one that is not signed", msg: "To: eve@example.net\r\n" + sign(rsaKey(), with("h", "from"), plain), status: dkim.Pass},
		{name: "second To, signed to be alone", msg: "To: eve@example.net\r\n" + sign(rsaKey(), with("h", "from:to:to"), plain), status: dkim.Fail, reason: dkim.ReasonSignature},

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
		{name: "empty names in h=", msg: sign(rsaKey(), with("h", ":from::to: :\r\n\t: date: "), plain), status: dkim.Pass},
		{name: "empty names in h=, and a signed field changed", msg: strings.Replace(sign(rsaKey(), with("h", "from::to"), plain), "Joe", "Jim", 1), status: dkim.Fail, reason: dkim.ReasonSignature},
		{name: "empty name added to h=", msg: edit("h=from:", "h=from::"), status: dkim.Fail, reason: dkim.ReasonSignature},
		{name: "a second From beside empty names in h=", msg: "From: eve@example.net\r\n" + sign(rsaKey(), with("h", "from::"), plain), status: dkim.Policy, reason: dkim.ReasonUnsignedDuplicate},
		{name: "empty names in h=, and no From", msg: sign(rsaKey(), with("h", ":to::"), plain), status: dkim.PermError, reason: dkim.ReasonFromNotSigned},
		{name: "only empty names in h=", msg: edit("h=from:to:subject:date:subject", "h=: :"), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "many empty names in h=", msg: edit("h=from:", "h=from:"+strings.Repeat(":", 2000)), status: dkim.Neutral, reason: dkim.ReasonSyntax},
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

		{name: "no octet in b=", msg: edit("\r\n b=", "\r\n b=; foo="), status: dkim.Neutral, reason: dkim.ReasonSyntax},
		{name: "RSA signature of an impossible length", msg: edit("\r\n b=", "\r\n b=AAAA; foo="), status: dkim.PermError, reason: dkim.ReasonSignatureSize},
		{name: "the same, and DNS silent", msg: strings.Replace(sign(rsaKey(), with("s", "dead"), plain), "\r\n b=", "\r\n b=AAAA; foo=", 1), status: dkim.PermError, reason: dkim.ReasonSignatureSize},
		{name: "Ed25519 signature of an impossible length", msg: strings.Replace(signed, "a=rsa-sha256", "a=ed25519-sha256", 1), status: dkim.PermError, reason: dkim.ReasonSignatureSize},
		{name: "RSA signature by a key of 512 bits, and DNS silent", msg: strings.Replace(sign(rsaKey(), with("s", "dead"), plain), "\r\n b=", "\r\n b="+strings.Repeat("A", 86)+"==; foo=", 1), status: dkim.Policy, reason: dkim.ReasonWeakKey},
		{name: "weak key, refused by configuration, and DNS silent", msg: sign(rsaKey(), with("s", "dead"), plain), opts: dkim.Options{MinRSABits: 3072}, status: dkim.Policy, reason: dkim.ReasonWeakKey},
		{name: "key too large, and DNS silent", msg: sign(rsaKey(), with("s", "dead"), plain), opts: dkim.Options{MaxRSABits: 1024}, status: dkim.Policy, reason: dkim.ReasonLargeKey},
		{name: "body changed, and DNS silent", msg: strings.Replace(sign(rsaKey(), with("s", "dead"), plain), "bye", "Bye", 1), status: dkim.Fail, reason: dkim.ReasonBodyHash},
		{name: "l= beyond the body, and DNS silent", msg: sign(rsaKey(), with("s", "dead")+"; l=21", plain), status: dkim.Fail, reason: dkim.ReasonBodyLength},
		{name: "aliases of the key in a circle", msg: sign(rsaKey(), with("s", "circle"), plain), status: dkim.PermError, reason: dkim.ReasonNoKey},
		{name: "alias of the key to nowhere", msg: sign(rsaKey(), with("s", "dangling"), plain), status: dkim.PermError, reason: dkim.ReasonNoKey},

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
		reached[test.reason] = true
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
	for _, reason := range []dkim.Reason{
		dkim.ReasonBodyHash, dkim.ReasonBodyLength, dkim.ReasonSignature, dkim.ReasonWeakKey, dkim.ReasonLargeKey, dkim.ReasonWeakHash,
		dkim.ReasonPartialBody, dkim.ReasonUnsignedDuplicate, dkim.ReasonSyntax, dkim.ReasonVersion, dkim.ReasonAlgorithm,
		dkim.ReasonCanonicalization, dkim.ReasonQuery, dkim.ReasonExpired, dkim.ReasonFuture, dkim.ReasonDNS, dkim.ReasonFromNotSigned,
		dkim.ReasonNoKey, dkim.ReasonKeySyntax, dkim.ReasonRevoked, dkim.ReasonKeyUse,
	} {
		if !reached[reason] {
			t.Errorf("no case for %s", reason)
		}
	}
}

// TestUnsignedDuplicates checks that no field that may occur only once, and that a
// mail reader shows or acts on, can be added above a signed one.
func TestUnsignedDuplicates(t *testing.T) {
	z := zone(t)
	names := []string{
		"From", "Subject", "Reply-To", "To", "Cc", "Date", "Sender", "Message-ID",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	}
	var original strings.Builder
	for _, name := range names {
		fmt.Fprintf(&original, "%s: joe@example.com\r\n", name)
	}
	original.WriteString("\r\nHello\r\n")
	signed := sign(rsaKey(), with("h", strings.Join(names, ":")), original.String())
	if r := verify(t, signed, z, dkim.Options{}, 100)[0]; r.Status != dkim.Pass {
		t.Fatalf("%s (%v)", r.Status, r.Err)
	}
	for _, name := range names {
		for _, written := range []string{name, strings.ToUpper(name), name + " "} {
			r := verify(t, written+": x\r\n"+signed, z, dkim.Options{}, 100)[0]
			if r.Status != dkim.Policy || r.Reason != dkim.ReasonUnsignedDuplicate {
				t.Errorf("a second %q: %s (%v)", written, r.Status, r.Err)
			}
		}
	}
}
