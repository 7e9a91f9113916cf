package milter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// signingKeys returns two keys of example.org and a zone that publishes both.
func signingKeys(t testing.TB) ([]SigningKey, *dnstest.Zone) {
	t.Helper()
	zone := dnstest.MustParse(t, "")
	var keys []SigningKey
	for _, name := range []string{"rsa1024", "ed25519"} {
		key := testKey(t, name)
		zone.AddTXT(name+"._domainkey.example.org", key.Record())
		keys = append(keys, SigningKey{Domain: "example.org", Selector: name, Signer: key.Signer()})
	}
	return keys, zone
}

// parse returns the header and the body of a message with CRLF line ends.
func parse(t testing.TB, text string) (message.Header, string) {
	t.Helper()
	header, rest, err := message.ReadHeader(bufio.NewReader(strings.NewReader(text)), message.Limits{Bytes: 1 << 21, Fields: 5000})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(rest)
	if err != nil {
		t.Fatal(err)
	}
	return header, string(body)
}

// signWith signs a message whose body arrives in pieces; next returns their lengths.
func signWith(keys []SigningKey, header message.Header, body string, next func() int) ([]message.Field, error) {
	s, err := beginSigning(keys, header)
	if err != nil {
		return nil, err
	}
	defer s.cancel()
	for body != "" {
		n := min(next(), len(body))
		s.write([]byte(body[:n]))
		body = body[n:]
	}
	return s.finish()
}

func whole() int { return 1 << 30 }

// mustSign returns header with its signatures at the top, as they are inserted.
func mustSign(t testing.TB, keys []SigningKey, header message.Header, body string) message.Header {
	t.Helper()
	fields, err := signWith(keys, header, body, whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		header = slices.Insert(slices.Clone(header), 0, f)
	}
	return header
}

// ourResults returns the verdict of our verifier on a message, a status for each
// signature.
func ourResults(t testing.TB, zone *dnstest.Zone, header message.Header, body string) string {
	t.Helper()
	var b message.Body
	in := &dkim.Input{Header: header, Index: message.NewIndex(header), Authors: header.Author().Domains, Body: &b, Now: time.Now()}
	all := dkim.Begin(dkim.Options{}, in)
	for _, v := range all {
		if v.NeedsKey() {
			v.FetchKey(context.Background(), zone)
		}
	}
	_, _ = b.Write([]byte(body))
	var results []string
	for _, v := range all {
		results = append(results, string(v.Result(&b).Status))
	}
	return strings.Join(results, " ")
}

// theirResults is like ourResults, with go-msgauth's verifier. It distinguishes only
// pass and fail.
func theirResults(t testing.TB, zone *dnstest.Zone, header message.Header, body string) string {
	t.Helper()
	var text strings.Builder
	for _, f := range header {
		fmt.Fprintf(&text, "%s:%s\r\n", f.Name, f.Raw)
	}
	all, err := msgauth.VerifyWithOptions(strings.NewReader(text.String()+"\r\n"+body), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			answer, err := zone.TXT(context.Background(), name)
			return answer.Values, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var results []string
	for _, v := range all {
		if v.Err == nil {
			results = append(results, "pass")
		} else {
			results = append(results, "fail")
		}
	}
	return strings.Join(results, " ")
}

const (
	ownFields = "From: Joe <joe@example.org>\r\nTo: you@example.net\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
	ownBody   = "Hello.\r\n"
	ownMsg    = ownFields + "\r\n" + ownBody
)

// TestSignaturesVerify signs every form of message that can be signed, with bodies
// that arrive in pieces of any size.
func TestSignaturesVerify(t *testing.T) {
	keys, zone := signingKeys(t)
	for name, msg := range map[string]string{
		"plain":                    ownMsg,
		"From only":                "From: joe@example.org\r\n\r\nx\r\n",
		"empty body":               ownFields + "\r\n",
		"body of empty lines":      ownFields + "\r\n\r\n\r\n",
		"body of white space":      ownFields + "\r\n \t\r\n \t",
		"empty lines at the end":   ownMsg + "\r\n \r\n\t\r\n",
		"as many as allowed":       ownFields + "\r\n" + strings.Repeat(" \t\r\n", maxEmptyLines) + "x\r\n",
		"no line end at the end":   ownMsg + "bye",
		"spacing in the body":      ownFields + "\r\n a  b\t \tc \t\r\n\r\n\t\r\n  d\r\n",
		"dots":                     ownFields + "\r\n.\r\n..\r\n.x\r\n",
		"octets":                   ownFields + "X: \x00\xff\r\n\r\n\x00\x80\xff ü\v\f\u00a0\u2028x\r\n",
		"lines of 998 octets":      ownMsg + strings.Repeat(strings.Repeat("x ", message.MaxLine/2)+"\r\n", 200) + strings.Repeat("x", message.MaxLine),
		"folds":                    "From:\r\n\tJoe\r\n  <joe@example.org>\r\nSubject: a\r\n \r\n\t b \t c \r\n\r\nx\r\n",
		"octets in the header":     "From: joe@example.org\r\nSubject: \x00\x01 \xff ü \v\f \u00a0 \u2028 x\u00a0\r\n\r\nx\r\n",
		"a very long field":        "From: joe@example.org\r\nSubject: " + strings.Repeat("x  y\r\n ", 20_000) + "x\r\n\r\nx\r\n",
		"white space before colon": "From \t: joe@example.org\r\nSubject\t: x\r\n\r\nx\r\n",
		"upper case, no space":     "FROM:joe@example.org\r\nSUBJECT:x\r\nto:\r\nCC: \r\n\r\nx\r\n",
		"several of one name":      "From: joe@example.org\r\nSubject: one\r\nSubject: two\r\nReply-To: a@b\r\nReply-To: c@d\r\nResent-From: e@f\r\nResent-From: g@h\r\n\r\nx\r\n",
		"colons":                   "From: joe@example.org\r\nSubject: a: b:c\r\nSubject:: d\r\n\r\nx\r\n",
		"own signature before":     "DKIM-Signature: v=1; nonsense\r\n" + ownMsg,
		"several authors":          "From: joe@example.org, jane@example.org\r\nSender: joe@example.org\r\n\r\nx\r\n",
		"U-label of a subdomain":   "From: joe@bücher.example.org\r\n\r\nx\r\n",
		"every field": func() string {
			text := ownFields
			for _, name := range dkim.Author.SignedNames() {
				if !strings.Contains(strings.ToLower(text), "\r\n"+name+": ") && name != "from" {
					text += name + ": x\r\n"
				}
			}
			return text + "\r\nx\r\n"
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			header, body := parse(t, msg)
			r := rand.New(rand.NewPCG(1, 2))
			for _, next := range []func() int{
				whole,
				func() int { return 1 + r.IntN(8) },
				func() int { return 1 + r.IntN(10_000) },
			} {
				fields, err := signWith(keys, header, body, next)
				if err != nil {
					t.Fatal(err)
				}
				signed := append(slices.Clone(fields), header...)
				// A signature that the message already had is malformed.
				before := strings.Count(msg, "DKIM-Signature:")
				if got := ourResults(t, zone, signed, body); got != "pass pass"+strings.Repeat(" neutral", before) {
					t.Errorf("we say %s: %q", got, fields)
				}
				if got := theirResults(t, zone, signed, body); got != "pass pass"+strings.Repeat(" fail", before) {
					t.Errorf("go-msgauth says %s: %q", got, fields)
				}
				for _, f := range fields {
					if f.Name != "DKIM-Signature" || f.Raw[0] != ' ' || strings.HasSuffix(f.Raw, "\n") {
						t.Errorf("field %q", f)
					}
					for line := range strings.SplitSeq(f.Name+":"+f.Raw, "\r\n") {
						if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
							t.Errorf("line %q", line)
						}
					}
				}
			}
		})
	}
}

// oddFrom are From fields that are malformed or ambiguous, and name exactly one
// domain.
var oddFrom = []string{
	"Doe, Joe <joe@example.org>", "Joe <joe@example.org> via list", "<jo..e@example.org>", "<joe.@example.org>", "<.joe@example.org>", "joe@example.org;", "joe@example.org,",
	"Scanner [3rd floor] <joe@example.org>", "Joe; Doe <joe@example.org>", "Joe: x <joe@example.org>", "Joe @ home, inc. <joe@example.org>", "Doe, Joe@Home <joe@example.org>",
	"Joe <<joe@example.org>>", "Joe <joe@example.org", "Joe joe@example.org", "joe @ example.org", `Joe" <joe@example.org>`, "Joe \\ x <joe@example.org>", "joe@example.org.",
	"mailto:joe@example.org", "Joe(x <joe@example.org>", "Joe <joe@sub.example.org>, joe@sub.example.org", "J\xf6rg, Joe <joe@example.org>", "joe@example.org, <",
	"Team: joe@example.org", `"Joe\x01" <joe@example.org>`,
}

// TestOddFrom signs mail with odd From fields.
func TestOddFrom(t *testing.T) {
	keys, zone := signingKeys(t)
	for _, from := range oddFrom {
		header := message.Header{{Name: "From", Raw: " " + from}, {Name: "To", Raw: " x"}}
		fields, err := signWith(keys, header, ownBody, whole)
		if err != nil {
			t.Errorf("%q: %v", from, err)
			continue
		}
		signed := append(fields, header...)
		if ours, theirs := ourResults(t, zone, signed, ownBody), theirResults(t, zone, signed, ownBody); ours != "pass pass" || theirs != "pass pass" {
			t.Errorf("%q: we say %s, go-msgauth says %s", from, ours, theirs)
		}
	}
}

// TestUnsignedFields adds fields whose names only some software equates with a name
// in h=, and checks that the signatures still verify. go-msgauth folds case as
// Unicode does, and would sign another field than verifiers check.
func TestUnsignedFields(t *testing.T) {
	keys, zone := signingKeys(t)
	for _, odd := range []string{"\u017fubject: x", "Me\u017f\u017fage-ID: x", "Subject\x01: x", "Subject\x80: x", "\x7fTo: x", "Sub\x00ject: x", "Subject\u00a0: x", "X\u00fc: y"} {
		header, body := parse(t, ownFields+odd+"\r\n\r\n"+ownBody)
		name, value, _ := strings.Cut(odd, ":")
		if !slices.Contains(header, message.Field{Name: name, Raw: value}) {
			// A name that ends the header when it is read from a file.
			header, body = parse(t, ownMsg)
			header = append(header, message.Field{Name: name, Raw: value})
		}
		if got := ourResults(t, zone, mustSign(t, keys, header, body), body); got != "pass pass" {
			t.Errorf("%q: %s", odd, got)
		}
	}
}

// TestNotSigned lists messages that go-msgauth would not sign correctly, and
// messages for which we have no key.
func TestNotSigned(t *testing.T) {
	keys, _ := signingKeys(t)
	header, _ := parse(t, ownMsg)
	with := func(name, raw string) message.Header {
		return append(slices.Clone(header), message.Field{Name: name, Raw: raw})
	}
	from := func(values ...string) (h message.Header) {
		for _, v := range values {
			h = append(h, message.Field{Name: "From", Raw: v})
		}
		return h
	}
	for _, test := range []struct {
		name   string
		header message.Header
		body   string
		want   error
	}{
		{"lone LF", header, "a\nb\r\n", errUnsignable},
		{"lone LF first", header, "\nb\r\n", errUnsignable},
		{"lone CR", header, "a\rb\r\n", errUnsignable},
		{"two CRs", header, "a\r\r\n", errUnsignable},
		{"CR at the end", header, "a\r\n\r", errUnsignable},
		{"LF and CR", header, "a\n\rb\r\n", errUnsignable},
		{"too many empty lines", header, "a\r\n" + strings.Repeat("\r\n", maxEmptyLines+1) + "b\r\n", errEmptyLines},
		{"too many empty lines at the end", header, strings.Repeat(" \r\n", maxEmptyLines+1), errEmptyLines},

		{"999 octets in a line", header, "a\r\n" + strings.Repeat("x", 999) + "\r\nb\r\n", message.ErrLongLine},
		{"999 octets in the last line", header, "a\r\n" + strings.Repeat("x", 999), message.ErrLongLine},
		{"999 octets in a field", with("Cc", strings.Repeat(" ", 999-len("Cc:"))), ownBody, message.ErrLongLine},
		{"999 octets in a fold of a field that is not signed", with("X", " x\r\n "+strings.Repeat("x", 998)+"\r\n x"), ownBody, message.ErrLongLine},
		{"lone LFs and no line end", header, strings.Repeat("x\n", 1000), errUnsignable},

		{"field with a lone CR", with("Cc", " a\rb"), ownBody, errUnsignable},
		{"field with a lone LF", with("Cc", " a\nb"), ownBody, errUnsignable},
		{"field with another in it", with("Cc", " a\r\nBcc: b"), ownBody, errUnsignable},
		{"field with the end of the header in it", with("Cc", " a\r\n\r\n b"), ownBody, errUnsignable},
		{"field that ends in CRLF", with("Cc", " a\r\n"), ownBody, errUnsignable},
		{"field that ends in CR", with("Cc", " a\r"), ownBody, errUnsignable},
		{"too many of one name", append(slices.Repeat(message.Header{{Name: "Subject", Raw: " x"}}, 200), header...), ownBody, errManySigned},
		{"too many in all", append(slices.Repeat(message.Header{{Name: "List-Unsubscribe-Post", Raw: " x"}}, 40), header...), ownBody, errManySigned},

		{"no header", nil, ownBody, errNoAuthor},
		{"no From", from(), ownBody, errNoAuthor},
		{"empty From", from(" "), ownBody, errNoAuthor},
		{"no domain", from(" joe"), ownBody, errNoAuthor},
		{"an address literal", from(" joe@[192.0.2.1]"), ownBody, errNoAuthor},
		{"two author domains", from(" joe@example.org, jane@example.net"), ownBody, errNoAuthor},
		{"an author domain and one below it", from(" joe@example.org, jane@sub.example.org"), ownBody, errNoAuthor},
		{"two From fields", from(" joe@example.org", " joe@example.org"), ownBody, errNoAuthor},
		{"another author that cannot be judged", from(" joe@example.org, <info@bank>"), ownBody, errNoAuthor},
		{"another author that some readers show", from(" jane@example.net (via Docs) <joe@example.org>"), ownBody, errNoAuthor},
		{"a NUL in From", from(" Joe\x00 <joe@example.org>"), ownBody, errNoAuthor},
		{"a long line in From", from(" " + strings.Repeat("x", 1000) + " <joe@example.org>"), ownBody, errNoAuthor},
		{"a word in From that MTAs split", from(` "jane@example.net ` + strings.Repeat("x", 300) + `" <joe@example.org>`), ownBody, errNoAuthor},
		{"From with a malformed name", message.Header{{Name: "From\x01", Raw: " joe@example.org"}}, ownBody, errNoAuthor},
		{"a hidden From", append(from(" joe@example.org"), message.Field{Name: "From\x00", Raw: " ceo@example.org"}), ownBody, errNoAuthor},

		{"another domain", from(" joe@example.net"), ownBody, errNoSigningKey},
		{"a domain that ends alike", from(" joe@badexample.org"), ownBody, errNoSigningKey},
		{"the domain above", from(" joe@org"), ownBody, errNoAuthor},
	} {
		done := noLeak(t)
		for _, next := range []func() int{whole, func() int { return 1 }} {
			fields, err := signWith(keys, test.header, test.body, next)
			if !errors.Is(err, test.want) || fields != nil {
				t.Errorf("%s: %v, want %v: %q", test.name, err, test.want, fields)
			}
		}
		done()
	}
}

func TestKeysFor(t *testing.T) {
	var keys []SigningKey
	for _, name := range []string{"example.org s1", "sub.example.org s2", "example.org s3", "other.example s4", "b.c.example.net s5", "c.example.net s6", "sub.example.org s7", "xn--bcher-kva.example s8"} {
		d, selector, _ := strings.Cut(name, " ")
		keys = append(keys, SigningKey{Domain: d, Selector: selector})
	}
	for author, want := range map[string]string{
		"example.org":               "s1 s3",
		"other.example.org":         "s1 s3",
		"sub.example.org":           "s2 s7",
		"a.sub.example.org":         "s2 s7",
		"asub.example.org":          "s1 s3",
		"other.example":             "s4",
		"example":                   "",
		"example.net":               "",
		"c.example.net":             "s6",
		"a.c.example.net":           "s6",
		"a.b.c.example.net":         "s5",
		"notexample.org":            "",
		"example.org.example":       "",
		"www.xn--bcher-kva.example": "s8",
	} {
		var got []string
		for _, k := range keysFor(keys, author) {
			got = append(got, k.Selector)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", author, got, want)
		}
	}
	if keysFor(nil, "example.org") != nil {
		t.Error("keys chosen from an empty list")
	}
}

// TestFieldsAdded adds a field at the top of a signed message. A field that would
// make it a different message breaks the signatures; a field that is routinely added
// in transit does not.
func TestFieldsAdded(t *testing.T) {
	keys, zone := signingKeys(t)
	const from = "From: joe@example.org\r\n"
	for _, test := range []struct {
		header string
		breaks string
		holds  string
		// second are the fields of which we refuse a second, unsigned one.
		second string
	}{
		{ownFields, "From To Cc Subject Date Message-ID MIME-Version Content-Type Content-Transfer-Encoding FROM sUBJECT",
			"Received Return-Path Authentication-Results ARC-Seal Received-SPF Sender Reply-To In-Reply-To References Resent-From Resent-To List-Id List-Post List-Unsubscribe List-Unsubscribe-Post Comments Keywords Bcc X-Spam", ""},
		{from, "To Cc Subject MIME-Version Content-Type Content-Transfer-Encoding", "Date Message-ID", ""},
		{from + "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nSender: a@b\r\nReply-To: c@d\r\nList-Id: e\r\nResent-From: f@g\r\n",
			"MIME-Version Content-Type", "List-Id Resent-From", "Sender Reply-To"},
	} {
		header, body := parse(t, test.header+"\r\n"+ownBody)
		signed := mustSign(t, keys, header, body)
		for results, names := range map[string]string{"fail fail": test.breaks, "pass pass": test.holds, "policy policy": test.second} {
			want, theirs := results, strings.ReplaceAll(results, "policy", "pass")
			for name := range strings.FieldsSeq(names) {
				added := slices.Insert(slices.Clone(signed), 0, message.Field{Name: name, Raw: " added"})
				if got := ourResults(t, zone, added, body); got != want {
					t.Errorf("%s on %q: we say %s", name, test.header, got)
				}
				if got := theirResults(t, zone, added, body); got != theirs {
					t.Errorf("%s on %q: go-msgauth says %s", name, test.header, got)
				}
			}
		}
		// Every field in h=, and the body, is really signed.
		for i, f := range signed {
			if f.Name == "DKIM-Signature" {
				continue
			}
			changed := slices.Clone(signed)
			changed[i].Raw += " x"
			if got := ourResults(t, zone, changed, body); got != "fail fail" {
				t.Errorf("%s changed: %s", f.Name, got)
			}
		}
		if got := ourResults(t, zone, signed, body+"x"); got != "fail fail" {
			t.Errorf("body changed: %s", got)
		}
	}
}

// TestSignatureText compares signatures with testdata/signatures.golden, octet for
// octet; AUTHMILTER_UPDATE=1 rewrites it. In synctest's bubble it is the year 2000.
func TestSignatureText(t *testing.T) {
	keys, _ := signingKeys(t)
	header, body := parse(t, "Return-Path: <joe@example.org>\r\nReceived: from a\r\n\tby b; now\r\n"+ownFields+"Reply-To: a@b\r\nBcc: c@d\r\nList-Id: e\r\nX-Mailer: f\r\n\r\n"+ownBody)
	var text strings.Builder
	synctest.Test(t, func(t *testing.T) {
		fields, err := signWith(keys, header, body, whole)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			fmt.Fprintf(&text, "%s:%s\r\n", f.Name, f.Raw)
		}
	})
	const golden = "testdata/signatures.golden"
	if os.Getenv("AUTHMILTER_UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
}

// FuzzSign checks that every message that gets signed verifies.
func FuzzSign(f *testing.F) {
	f.Add(ownMsg, uint8(3))
	f.Add("From: joe@example.org\r\nSubject:\r\n\t a\r\n\r\n \r\n\r\nb \t\r\n\r\n", uint8(1))
	f.Add("From : <joe@example.org>\r\nSUBJECT:x\x00\xff\r\nSubject: y\r\n\r\nno end", uint8(7))
	f.Add("From: joe@example.org\r\n\r\na\nb\rc\r\n", uint8(2))
	f.Add("\u017fubject: x\r\nFrom: joe@example.org\r\n\r\n", uint8(0))
	keys, zone := signingKeys(f)
	f.Fuzz(func(t *testing.T, msg string, chunk uint8) {
		header, rest, err := message.ReadHeader(bufio.NewReader(strings.NewReader(msg)), message.Limits{Bytes: 1 << 16, Fields: 100})
		if err != nil {
			return
		}
		text, _ := io.ReadAll(rest) // of a string
		body := string(text)
		fields, err := signWith(keys, header, body, func() int { return int(chunk) + 1 })
		if err != nil {
			if fields != nil {
				t.Errorf("%q, %v", fields, err)
			}
			return
		}
		got := ourResults(t, zone, append(fields, header...), body)
		if got != "pass pass" && !strings.HasPrefix(got, "pass pass ") {
			t.Errorf("%s: %q", got, fields)
		}
	})
}
