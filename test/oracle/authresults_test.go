package oracle

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"authmilter/policy"
	"authmilter/test/need"
	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

var (
	//go:embed authresults.py
	pythonReader string
	//go:embed authresults.pl
	perlReader string
)

// resultsReader is another program that reads Authentication-Results.
type resultsReader struct {
	name    string
	command []string
}

// resultsReaders are authres, with and without the decoding of Python's email
// package, and Mail::AuthenticationResults.
var resultsReaders = []resultsReader{
	// The interpreter that Debian's packages are built for.
	{"authres", []string{"/usr/bin/python3", "-c", pythonReader}},
	{"Mail::AuthenticationResults", []string{"/usr/bin/perl", "-e", perlReader}},
}

// resultsAnswer is what a reader answers to one question.
type resultsAnswer struct {
	IDs     []string `json:"ids"`
	Results *struct {
		ID      string `json:"id"`
		Methods []struct {
			Name   string      `json:"name"`
			Result string      `json:"result"`
			Reason string      `json:"reason"`
			Props  [][3]string `json:"props"`
		} `json:"methods"`
	} `json:"results"`
	Error string `json:"error"`
}

// ask asks one process the same question about each text.
func (r resultsReader) ask(t *testing.T, question string, texts []string) []resultsAnswer {
	t.Helper()
	var in bytes.Buffer
	for _, text := range texts {
		line, err := json.Marshal(map[string]string{question: base64.StdEncoding.EncodeToString([]byte(text))})
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	cmd := exec.Command(r.command[0], r.command[1:]...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		need.Found(t, fmt.Errorf("%s: %w: %.200s", r.name, err, stderr.Bytes()))
	}
	answers := make([]resultsAnswer, 0, len(texts))
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var a resultsAnswer
		if err := d.Decode(&a); err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(texts) {
		t.Fatalf("%s answered %d of %d questions: %.500s", r.name, len(answers), len(texts), stderr.Bytes())
	}
	return answers
}

// resultsInputs returns how many fields are compared: a few hundred, or tens of
// thousands if AUTHMILTER_LONG is set.
func resultsInputs() int {
	if os.Getenv("AUTHMILTER_LONG") != "" {
		return 20_000
	}
	return 600
}

const (
	ownName = "mx.example.org"
	ownIDN  = "bücher.example"
)

// TestForgedResults checks that every field that another program reads as ours
// is removed.
func TestForgedResults(t *testing.T) {
	r := newRandom(8601)
	c := authres.NewClaimant(ownName, ownIDN)
	values := make([]string, resultsInputs())
	for i := range values {
		values[i] = forgedField(r)
	}
	removed, honest := 0, 0
	for _, v := range values {
		if c.Claims(v) {
			removed++
		}
	}
	for range values {
		if v := foreignField(r); c.Claims(v) {
			t.Errorf("another host's field is removed: %.300q", v)
		} else {
			honest++
		}
	}
	for _, reader := range resultsReaders {
		believed := 0
		for i, a := range reader.ask(t, "claim", values) {
			id, ours := "", false
			for _, id = range a.IDs {
				if ours = isOwn(id); ours {
					break
				}
			}
			if !ours {
				continue
			}
			believed++
			for _, v := range []string{values[i], strings.ReplaceAll(values[i], "\r\n", "\n")} {
				if !c.Claims(v) {
					t.Errorf("%s reads %q in a field of %d octets that is not removed: %.400q", reader.name, id, len(v), v)
				}
			}
		}
		if believed < len(values)/20 {
			t.Errorf("%s believes only %d of %d: too few to compare", reader.name, believed, len(values))
		}
		t.Logf("%s believes %d of %d fields; %d are removed", reader.name, believed, len(values), removed)
	}
}

// isOwn reports whether an authserv-id, as a reader found it, is ours or below
// ours.
func isOwn(id string) bool {
	id = strings.ToLower(strings.TrimRight(id, "."))
	for _, own := range []string{ownName, ownIDN, "xn--bcher-kva.example"} {
		if domain.IsSubdomain(id, own) {
			return true
		}
	}
	return false
}

// forgedField returns the value of a field that names us in some way.
func forgedField(r random) string {
	id := ownSpelling(r)
	before := one(r, "", " ", " ", " ", "\t", "\r\n\t", " (c) ", " (c)\r\n ", " (a(b)c) ", ` (\)) `, " ()", " \x0b", " \u00a0", "\ufeff", " ;", ` "" `,
		" other.example ", " (other.example) ", " Authentication-Results: ", " =?utf-8?q??= ", " (=?utf-8?q?=29?= ", " ((", " )")
	after := one(r, "", "", " ", " 1", " 1 ", "1", "/1", " (c)", "(c)", " 1 (c) ", "none", "\x00", "\x00none", "\rnone", "\r\n ", ".", "..", ". 1", ":", "=", "=x", "\xff",
		"\u200b", "\u00a0", " x", " x=y", ",", `"`, "\t1", " 2", "\x0c", "?=", "attacker.example", ".attacker.example")
	rest := one(r, "; dmarc=pass header.from=bank.example", "; dmarc=pass header.from=bank.example", "; none", ";none", "", ";", "; dkim=pass (c) reason=\"x\" header.d=bank.example; spf=pass",
		" dmarc=pass", "; =?utf-8?q?dmarc=3Dpass?= header.from=bank.example")
	if r.IntN(3) == 0 {
		before, after = one(r, "", " ", "\r\n\t", " (c) "), one(r, "", " ", " 1", " (c)", " 1\r\n ")
	}
	if r.IntN(8) == 0 {
		// The line is broken right after the id, or almost.
		if width := 998 - len("Authentication-Results:") - len(before) - len(id) - len("()") + one(r, 0, 0, 0, 0, 1, -1, 998); width > 0 {
			before += "(" + strings.Repeat("a", width) + ")"
		}
		after = one(r, "1", "1", "11", "x", ".", "none", after)
	}
	field := before + id + after + rest
	if r.IntN(12) == 0 {
		field = encodedWord(r, field)
	}
	if r.IntN(3) == 0 {
		field = mutateField(r, field)
	}
	return field
}

// ownSpelling returns a spelling of one of our ids, or something close to one.
func ownSpelling(r random) string {
	id := one(r, ownName, ownName, ownName, ownName, "in.ner."+ownName, ownIDN, "xn--bcher-kva.example", "not"+ownName, ownName+".example", "other.example")
	switch r.IntN(4) {
	case 0:
		id = strings.ToUpper(id)
	case 1:
		id = strings.NewReplacer("m", "M", "o", "O", "k", "K").Replace(id)
	}
	at := r.IntN(len(id) + 1)
	switch r.IntN(12) {
	case 0:
		return `"` + id + `"`
	case 1:
		return `"` + id[:at] + `\` + id[at:] + `"`
	case 2:
		return encodedWord(r, id)
	case 3:
		return encodedWord(r, id[:at]) + one(r, "", " ", "\r\n ") + encodedWord(r, id[at:])
	case 4:
		return id[:at] + encodedWord(r, id[at:])
	case 5:
		return id[:at] + one(r, "(c)", "()", " ", "\r\n ", `"`, `\`, "\x00", "\x01", "\x7f", "\r", "\u200b", "\u00ad", "\u2060", "\ufe0f", "\xff", "\x80", "\ufffd", "\t") + id[at:]
	case 6:
		return strings.NewReplacer("k", "\u212a", "m", one(r, "ｍ", "M"), ".", one(r, ".", "．", "。")).Replace(id)
	}
	return id
}

// encodedWord returns s as an encoded-word (RFC 2047 section 2) in the variants
// that lenient readers accept.
func encodedWord(r random, s string) string {
	charset := one(r, "utf-8", "UTF-8", "us-ascii", "iso-8859-1", "windows-1252", "utf-8*en", "x-unknown", "", "utf-16be", "utf-7")
	octets := []byte(s)
	switch charset {
	case "utf-16be":
		octets = nil
		for _, u := range utf16.Encode([]rune(s)) {
			octets = append(octets, byte(u>>8), byte(u))
		}
	case "utf-7":
		octets = []byte(strings.Replace(s, "m", "+AG0-", 1))
	}
	if r.IntN(2) == 0 {
		text := base64.StdEncoding.EncodeToString(octets)
		if r.IntN(3) == 0 {
			text = strings.TrimRight(text, "=")
		}
		return "=?" + charset + "?" + one(r, "b", "B") + "?" + text + "?="
	}
	var b strings.Builder
	all := r.IntN(3) == 0
	for _, c := range octets {
		switch {
		case c == ' ':
			b.WriteByte('_')
		case c <= ' ' || c > '~' || c == '=' || c == '?' || c == '_' || all || r.IntN(8) == 0:
			fmt.Fprintf(&b, one(r, "=%02X", "=%02x"), c)
		default:
			b.WriteByte(c)
		}
	}
	return "=?" + charset + "?" + one(r, "q", "Q") + "?" + b.String() + "?="
}

// mutateField changes a few octets of s to octets that have a meaning to
// readers.
func mutateField(r random, s string) string {
	out := []byte(s)
	for range 1 + r.IntN(3) {
		if len(out) == 0 {
			break
		}
		at := r.IntN(len(out))
		switch r.IntN(4) {
		case 0:
			out = append(out[:at], out[at+1:]...)
		case 1:
			end := at + r.IntN(min(20, len(out)-at))
			out = append(out[:end], append(bytes.Clone(out[at:end]), out[end:]...)...)
		default:
			insert := one(r, "(", ")", `"`, `\`, ";", "=", "?", "=?", "?=", ".", "/", "@", " ", "\t", "\r\n ", "\r", "\n", "\x00", "\x0b", "1", ",", "\xa0", "\xc2\xa0", "()", `""`)
			out = append(out[:at], append([]byte(insert), out[at:]...)...)
		}
	}
	return string(out)
}

// foreignField returns a well-formed field from another host that mentions us
// in places where that is allowed.
func foreignField(r random) string {
	id := one(r, "other.example", "OTHER.example", "example.org", "not"+ownName, ownName+".example.com", "mx-example.org", "relay_1.example.net", `"other.example"`, "mx.exàmple.org")
	comment := one(r, "", "", " (c)", " (of "+ownName+")", "\r\n\t(c)")
	if !strings.HasPrefix(id, "other") {
		comment = ""
	}
	return " " + id + comment + one(r, "", " 1", "\r\n\t1") + ";" + one(r, " none", "\r\n\tspf=pass smtp.mailfrom=joe@"+ownName+";\r\n\tdkim=pass header.d="+ownName,
		" spf=pass reason=\"by "+ownName+"; dkim=pass\"", " dmarc=pass ("+encodedWord(r, ownName)+") header.from="+ownName, " spf=pass smtp.helo=\""+strings.Repeat("a", 1200)+ownName+"\"")
}

// TestReadable checks that other programs read our fields as the results that
// we mean, whatever text senders and domain owners supply.
func TestReadable(t *testing.T) {
	r := newRandom(7601)
	var values []string
	var want [][]authres.Method
	for range resultsInputs() {
		env, res := hostileResult(r)
		options := policy.ResultsOptions{EachAuthor: true}
		methods := policy.AuthenticationResults(env, res, policy.Decision{}, options)
		values = append(values, policy.FormatResults(ownName, env, res, policy.Decision{}, options))
		if r.IntN(5) == 0 {
			// Of mail of our own, only the signatures are verified.
			methods = methods[:max(1, len(res.DKIM))]
			values[len(values)-1] = policy.FormatOwnResults(ownName, res.DKIM, true)
		}
		for i := range methods {
			methods[i] = methods[i].Cleaned()
		}
		want = append(want, methods)
	}
	for _, reader := range resultsReaders {
		for i, a := range reader.ask(t, "field", values) {
			if err := readAs(a, want[i], reader.name == "authres"); err != nil {
				t.Errorf("%s: %v:\n%s", reader.name, err, values[i])
			}
		}
	}
}

// readAs returns how an answer differs from the results that were written.
// authres skips a quoted value unless it is the last one of its result.
func readAs(a resultsAnswer, want []authres.Method, lastQuoted bool) error {
	if a.Results == nil {
		return errors.New(a.Error)
	}
	if a.Results.ID != ownName || len(a.Results.Methods) != len(want) {
		return fmt.Errorf("%d results of %s, want %d", len(a.Results.Methods), a.Results.ID, len(want))
	}
	for i, m := range a.Results.Methods {
		w := want[i]
		if m.Name != w.Name || m.Result != w.Result || spaces(m.Reason) != spaces(w.Reason) {
			return fmt.Errorf("%s=%s reason=%q, want %s=%s reason=%q", m.Name, m.Result, m.Reason, w.Name, w.Result, w.Reason)
		}
		var got, props [][3]string
		for _, p := range m.Props {
			got = append(got, [3]string{p[0], p[1], spaces(p[2])})
		}
		for j, p := range w.Props {
			if bare := strings.Contains(authres.Format("x", []authres.Method{{Props: []authres.Prop{p}}}), "="+p.Value); bare || !lastQuoted || j == len(w.Props)-1 {
				props = append(props, [3]string{p.Type, p.Name, spaces(p.Value)})
			}
		}
		if !reflect.DeepEqual(got, props) {
			return fmt.Errorf("%s has %q, want %q", m.Name, got, props)
		}
	}
	return nil
}

// spaces returns s with single spaces, because readers unfold differently.
func spaces(s string) string { return strings.Join(strings.Fields(s), " ") }

// hostileText returns text that a sender or a domain owner could write.
func hostileText(r random) string {
	text := one(r, `"a"`, `a"b`, `"a b"@example.com`, `"a\"b"@example.com`, `\`, `a\`, `"`, `""@example.com`, "a..b@example.com", ".@example.com", "@", "a@b@c.example",
		"/x@example.com", "=x@example.com", "?@example.com", "jörg@bücher.example", "BÜCHER.example", "\xff\xfe@example.com", "a\u202eb.example", "日本@例え.テスト",
		"x; dkim=pass header.d=bank.example", "x\r\n\tdkim=pass", "(", ")", "()", "(;)", "<a@b.example>", "a,b", "a b", " ", "=", "a=b", "none", "[192.0.2.1]", "a@[192.0.2.1]",
		"[IPv6:2001:db8::1]", "2001:db8::1", "dzd/yO+A", "A+/=", strings.Repeat("x", 500), strings.Repeat(`"`, 400), strings.Repeat("é", 300)+"@example.com", strings.Repeat("a ", 200),
		"reason=x", "header.d=y", "joe@example.com", "example.com", "_x.example", "a\x00b", "\x7f", "'", "`", "{}", "$HOME", "%s", "a;b@example.com", "a(b)@example.com", ".x", "0", "1", "-")
	if r.IntN(3) == 0 {
		text = mutateField(r, text)
	}
	return text
}

func hostileResult(r random) (verify.Envelope, *verify.Result) {
	text := func() string { return hostileText(r) }
	fault := func() error {
		return one(r, error(nil), errors.New(text()), fmt.Errorf("%s: %w", text(), errors.New(text())))
	}
	env := verify.Envelope{Helo: text(), MailFrom: text()}
	if r.IntN(2) == 0 {
		env.ClientIP = netip.MustParseAddr(one(r, "192.0.2.1", "2001:db8::1"))
	}
	res := &verify.Result{
		Author: message.Author{Domains: []string{text()}, Err: fault()},
		SPF:    spf.Result{Status: one(r, spf.Statuses()...), Identity: one(r, spf.MailFrom, spf.Helo), Domain: text(), Record: text(), Mechanism: text(), Err: fault()},
		DMARC:  dmarc.Result{Status: one(r, dmarc.Pass, dmarc.Fail, dmarc.PermError), Author: text(), Err: fault()},
	}
	res.Authors = append(res.Authors, res.DMARC)
	for range r.IntN(3) {
		res.Authors = append(res.Authors, dmarc.Result{Status: one(r, dmarc.Statuses()...), Author: text(), Err: fault()})
	}
	for range r.IntN(3) {
		d := dkim.Result{Status: one(r, dkim.Statuses()...), Err: fault(), Signature: &dkim.Signature{
			Domain: text(), Identity: text(), Selector: text(), Algorithm: text(), Text: text(),
		}}
		if r.IntN(2) == 0 {
			d.Key = &dkim.Key{Type: dkim.RSA, Bits: 2048}
		}
		res.DKIM = append(res.DKIM, d)
	}
	if r.IntN(3) == 0 {
		res.Helo = &spf.Result{Status: spf.TempError, Identity: spf.Helo, Err: errors.New(text())}
	}
	if r.IntN(3) == 0 {
		res.IPRev = &iprev.Result{Status: iprev.Fail, Name: text(), Err: fault()}
	}
	return env, res
}
