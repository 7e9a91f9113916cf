package dmarc_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authmilter/verify/dmarc"
)

// defaults returns the record that has only the tags v and p.
func defaults(p dmarc.Disposition) dmarc.Record {
	return dmarc.Record{
		P: p, PSD: dmarc.PSDUnknown, ADKIM: dmarc.Relaxed, ASPF: dmarc.Relaxed,
		FO: dmarc.FailureOptions{All: true}, Percent: 100, Interval: 24 * time.Hour,
	}
}

func mailto(addresses ...string) []dmarc.URI {
	var list []dmarc.URI
	for _, a := range addresses {
		list = append(list, dmarc.URI{Text: "mailto:" + a, Scheme: "mailto", Address: a})
	}
	return list
}

const (
	none       = dmarc.DispositionNone
	quarantine = dmarc.DispositionQuarantine
	reject     = dmarc.DispositionReject
)

// TestParseRecord parses correct records, which give no warnings.
func TestParseRecord(t *testing.T) {
	tests := []struct {
		text string
		want func(r *dmarc.Record)
	}{
		{"v=DMARC1; p=none", func(*dmarc.Record) {}},
		{"v=DMARC1;p=none;", func(*dmarc.Record) {}},
		{"V=DMARC1; p=none", func(*dmarc.Record) {}},
		{"v\t= DMARC1 ;\tp =\tnone ; ", func(*dmarc.Record) {}},
		{"v=DMARC1; p=None", func(*dmarc.Record) {}},
		{"v=DMARC1; p=quarantine", func(r *dmarc.Record) { r.P = quarantine }},
		{"v=DMARC1; p=REJECT", func(r *dmarc.Record) { r.P = reject }},
		// RFC 9989 allows p anywhere; RFC 7489 did not.
		{"v=DMARC1; sp=quarantine; p=reject", func(r *dmarc.Record) { r.P, r.SP = reject, quarantine }},
		{"v=DMARC1; p=none; sp=quarantine; np=reject", func(r *dmarc.Record) { r.SP, r.NP = quarantine, reject }},
		{"v=DMARC1; p=none; psd=y", func(r *dmarc.Record) { r.PSD = dmarc.PSDYes }},
		{"v=DMARC1; p=none; psd=N", func(r *dmarc.Record) { r.PSD = dmarc.PSDNo }},
		{"v=DMARC1; p=none; psd=u", func(*dmarc.Record) {}},
		{"v=DMARC1; p=none; t=y", func(r *dmarc.Record) { r.Testing = true }},
		{"v=DMARC1; p=none; t=n", func(*dmarc.Record) {}},
		{"v=DMARC1; p=none; adkim=s; aspf=r", func(r *dmarc.Record) { r.ADKIM = dmarc.Strict }},
		{"v=DMARC1; p=none; adkim=r; aspf=S", func(r *dmarc.Record) { r.ASPF = dmarc.Strict }},
		{"v=DMARC1; p=none; fo=1", func(r *dmarc.Record) { r.FO = dmarc.FailureOptions{Any: true} }},
		{"v=DMARC1; p=none; fo=d", func(r *dmarc.Record) { r.FO = dmarc.FailureOptions{DKIM: true} }},
		{"v=DMARC1; p=none; fo=d:0:s", func(r *dmarc.Record) {
			r.FO = dmarc.FailureOptions{All: true, DKIM: true, SPF: true}
		}},
		{"v=DMARC1; p=none; rua=mailto:a@example.com , mailto:b@example.net", func(r *dmarc.Record) {
			r.RUA = mailto("a@example.com", "b@example.net")
		}},
		{"v=DMARC1; p=none; ruf=https://example.com/report?to=a", func(r *dmarc.Record) {
			r.RUF = []dmarc.URI{{Text: "https://example.com/report?to=a", Scheme: "https"}}
		}},

		// RFC 9989 appendix B.2.
		{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com", func(r *dmarc.Record) {
			r.RUA = mailto("dmarc-feedback@example.com")
		}},
		{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@example.com", func(r *dmarc.Record) {
			r.RUA, r.RUF = mailto("dmarc-feedback@example.com"), mailto("auth-reports@example.com")
		}},
		{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@thirdparty.example.net", func(r *dmarc.Record) {
			r.RUA, r.RUF = mailto("dmarc-feedback@example.com"), mailto("auth-reports@thirdparty.example.net")
		}},
		{"v=DMARC1; p=quarantine; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net; t=y", func(r *dmarc.Record) {
			r.P, r.Testing = quarantine, true
			r.RUA = mailto("dmarc-feedback@example.com", "tld-test@thirdparty.example.net")
		}},
		{"v=DMARC1; p=reject; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net", func(r *dmarc.Record) {
			r.P = reject
			r.RUA = mailto("dmarc-feedback@example.com", "tld-test@thirdparty.example.net")
		}},
	}
	for _, tt := range tests {
		want := defaults(none)
		tt.want(&want)
		got, err := dmarc.ParseRecord(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", tt.text, *got, want)
		}
	}
}

// TestParseRecordNotDMARC checks that records without a valid tag v are ignored
// (RFC 9989 section 4.7).
func TestParseRecordNotDMARC(t *testing.T) {
	for _, text := range []string{
		"",
		"v",
		"v=",
		"v=;",
		"v=spf1 -all",
		"v=DMARC",
		"v=DMARC2; p=none",
		"v=DMARC10; p=none",
		"v=dmarc1; p=none",
		"v=Dmarc1; p=none",
		" v=DMARC1; p=none",
		"p=none; v=DMARC1",
		";v=DMARC1; p=none",
		"v=DMARC1 p=none",
		"v=DMARC1, p=none",
		"v=DMARC1: p=none",
		"v=DMARC1\n; p=none",
		"v=DMARC1\x00; p=none",
		"v=\u00a0DMARC1; p=none",
		"v==DMARC1; p=none",
		"vv=DMARC1; p=none",
		"\"v=DMARC1; p=none\"",
		"v DMARC1; p=none",
		"\ufeffv=DMARC1; p=none",
		"_dmarc.example.com. TXT v=DMARC1; p=none",
		"v=DMARC1; p=none" + strings.Repeat(" ", dmarc.MaxRecord),
	} {
		r, err := dmarc.ParseRecord(text)
		if !errors.Is(err, dmarc.ErrNotDMARC) || r != nil {
			t.Errorf("%.60q: got %+v, %v", text, r, err)
		}
		if dmarc.IsRecord(text) {
			t.Errorf("%.60q: IsRecord", text)
		}
	}
}

// TestParseRecordOdd parses records with mistakes. want is the record that results,
// in canonical form.
func TestParseRecordOdd(t *testing.T) {
	tests := []struct {
		text     string
		want     string
		usable   bool
		warnings []string
	}{
		{"v=DMARC1", "v=DMARC1", false, []string{"tag p is missing"}},
		{"v=DMARC1;;;", "v=DMARC1", false, []string{"empty tag", "empty tag", "tag p is missing"}},
		{"v=DMARC1;p=reject;;sp=none", "v=DMARC1; p=reject; sp=none", true, []string{"empty tag"}},
		{"v=DMARC1; rua=mailto:a@example.com", "v=DMARC1; rua=mailto:a@example.com", true, []string{"tag p is missing"}},
		// RFC 9989 section 4.10.1: p=none replaces the whole policy.
		{"v=DMARC1; sp=reject; np=reject; rua=mailto:a@example.com", "v=DMARC1; rua=mailto:a@example.com", true,
			[]string{"tag p is missing"}},
		{"v=DMARC1; p=reject; sp=all; rua=mailto:a@example.com", "v=DMARC1; rua=mailto:a@example.com", true,
			[]string{`invalid value of tag sp: "all"`}},
		{"v=DMARC1; p=reject; np=; rua=mailto:a@example.com", "v=DMARC1; rua=mailto:a@example.com", true,
			[]string{`invalid value of tag np: ""`}},
		{"v=DMARC1; p=reject; sp=all", "v=DMARC1", false, []string{`invalid value of tag sp: "all"`}},
		{"v=DMARC1; p=monitor; psd=n", "v=DMARC1; psd=n", false, []string{`invalid value of tag p: "monitor"`}},
		{"v=DMARC1; p=reject\"", "v=DMARC1", false, []string{`invalid value of tag p: "reject\""`}},
		{"v=DMARC1; p=none, sp=none", "v=DMARC1", false, []string{`invalid value of tag p: "none, sp=none"`}},
		{"v=DMARC1; p=reject sp=none", "v=DMARC1", false, []string{`invalid value of tag p: "reject sp=none"`}},
		{"v=DMARC1; p=reject\r\n", "v=DMARC1", false, []string{`invalid value of tag p: "reject??"`}},
		{"v=DMARC1; p=none; p=reject", "v=DMARC1; p=none", true, []string{"tag p occurs again"}},
		{"v=DMARC1; p=junk; p=reject", "v=DMARC1", false, []string{`invalid value of tag p: "junk"`, "tag p occurs again"}},
		{"v=DMARC1; v=DMARC1; p=reject", "v=DMARC1; p=reject", true, []string{"tag v occurs again"}},
		{"v=DMARC1; P=reject", "v=DMARC1; p=reject", true, []string{"tag p is not in lower case"}},
		{"v=DMARC1; p=reject; adkim=strict; aspf=x; t=yes; psd=no", "v=DMARC1; p=reject", true, []string{
			`invalid value of tag adkim: "strict"`, `invalid value of tag aspf: "x"`,
			`invalid value of tag t: "yes"`, `invalid value of tag psd: "no"`}},
		{"v=DMARC1; p=reject; pct=50; ri=3600; rf=afrf", "v=DMARC1; p=reject; pct=50; ri=3600", true, []string{
			"tag pct is obsolete", "tag ri is obsolete", "tag rf is obsolete"}},
		{"v=DMARC1; p=reject; pct=101; ri=4294967296", "v=DMARC1; p=reject", true, []string{
			"tag pct is obsolete", `invalid value of tag pct: "101"`,
			"tag ri is obsolete", `invalid value of tag ri: "4294967296"`}},
		{"v=DMARC1; p=reject; pct=0100; ri=-1", "v=DMARC1; p=reject", true, []string{
			"tag pct is obsolete", `invalid value of tag pct: "0100"`,
			"tag ri is obsolete", `invalid value of tag ri: "-1"`}},
		{"v=DMARC1; p=reject; pct=0", "v=DMARC1; p=reject; pct=0", true, []string{"tag pct is obsolete"}},
		{"v=DMARC1; p=none; rf=mailto:a@example.com", "v=DMARC1; p=none", true, []string{"tag rf is obsolete"}},
		{"v=DMARC1; p=none; fo=0:1:d:s", "v=DMARC1; p=none; fo=0:1:d:s", true, []string{"options 0 and 1 of tag fo exclude each other"}},
		{"v=DMARC1; p=none; fo=1:x", "v=DMARC1; p=none", true, []string{`invalid value of tag fo: "1:x"`}},
		{"v=DMARC1; p=none; fo=", "v=DMARC1; p=none", true, []string{`invalid value of tag fo: ""`}},
		{"v=DMARC1; p=none; rua=a@example.com", "v=DMARC1; p=none", true, []string{`invalid URI in tag rua: "a@example.com"`}},
		{"v=DMARC1; p=none; rua=mailto:a@example.com,,b@example.com,mailto:c@example.com!10m", "v=DMARC1; p=none; rua=mailto:a@example.com,mailto:c@example.com", true,
			[]string{`invalid URI in tag rua: ""`, `invalid URI in tag rua: "b@example.com"`, "obsolete size limit in tag rua"}},
		{"v=DMARC1; p=none; rua=mailto:a@example.com mailto:b@example.com", "v=DMARC1; p=none", true,
			[]string{`invalid URI in tag rua: "mailto:a@example.com mailto:b@example..."`}},
		{"v=DMARC1; p=none; rua=", "v=DMARC1; p=none", true, []string{`invalid URI in tag rua: ""`}},
		{"v=DMARC1; rua=mailto:", "v=DMARC1", false, []string{`invalid URI in tag rua: "mailto:"`, "tag p is missing"}},
		{"v=DMARC1; p=none; x-note=hello; sp", "v=DMARC1; p=none", true, []string{`unknown tag "x-note"`, `not a tag: "sp"`}},
		{"v=DMARC1; p=none; \x1b[31m\u202e=1", "v=DMARC1; p=none", true, []string{`unknown tag "?[31m?"`}},
		{"v=DMARC1; p=none; =", "v=DMARC1; p=none", true, []string{`unknown tag ""`}},
	}
	for _, tt := range tests {
		r, err := dmarc.ParseRecord(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := r.String(); got != tt.want {
			t.Errorf("%q:\n got %q\nwant %q", tt.text, got, tt.want)
		}
		if r.Usable() != tt.usable {
			t.Errorf("%q: usable %v", tt.text, r.Usable())
		}
		if !slices.Equal(r.Warnings, tt.warnings) {
			t.Errorf("%q: warnings\n got %q\nwant %q", tt.text, r.Warnings, tt.warnings)
		}
	}
}

func TestParseRecordBounds(t *testing.T) {
	repeat := func(s string, length int) string { return strings.Repeat(s, length/len(s)) }
	tests := []struct {
		name, text string
		uris       int
		warnings   int
	}{
		{"one tag", "v=DMARC1; p=reject; x=" + repeat("y", 60000), 0, 1},
		{"tags", "v=DMARC1; p=reject; " + repeat("x=y;", 60000), 0, dmarc.MaxWarnings},
		{"no tags", "v=DMARC1; p=reject; " + repeat(";", 60000), 0, dmarc.MaxWarnings},
		{"again", "v=DMARC1; p=reject; " + repeat("p=none;", 60000), 0, dmarc.MaxWarnings},
		{"URIs", "v=DMARC1; p=reject; rua=" + repeat("mailto:a@example.com,", 60000), dmarc.MaxURIs, 1},
		{"bad URIs", "v=DMARC1; p=reject; rua=" + repeat("mailto:a,", 60000), 0, dmarc.MaxWarnings},
		{"long URI", "v=DMARC1; p=reject; rua=mailto:" + repeat("a", 60000) + "@example.com", 0, 1},
		{"options", "v=DMARC1; p=reject; fo=" + repeat("d:", 60000) + "d", 0, 0},
		{"16 KB", "v=DMARC1; p=reject; rua=mailto:a@example.com; n=" + repeat("A", 16<<10), 1, 1},
	}
	for _, tt := range tests {
		r, err := dmarc.ParseRecord(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if r.P != reject || len(r.RUA) != tt.uris || len(r.Warnings) != tt.warnings {
			t.Errorf("%s: p=%s, %d URIs, %d warnings %.200q", tt.name, r.P, len(r.RUA), len(r.Warnings), r.Warnings)
		}
		for _, w := range r.Warnings {
			if len(w) > 200 {
				t.Errorf("%s: warning of %d octets", tt.name, len(w))
			}
		}
	}
}

func TestReportingURI(t *testing.T) {
	tests := []struct {
		text    string
		ok      bool
		address string
		domain  string
	}{
		{"mailto:a@example.com", true, "a@example.com", "example.com"},
		{"MAILTO:A@Example.COM", true, "A@example.com", "example.com"},
		{"mailto:a@example.com!50", true, "a@example.com", "example.com"},
		{"mailto:a@example.com!50M", true, "a@example.com", "example.com"},
		{"mailto:a@example.com!50x", false, "", ""},
		{"mailto:a@example.com!", false, "", ""},
		{"mailto:a@example.com!m", false, "", ""},
		{"mailto:a@example.com!1!2", false, "", ""},
		{"mailto:a%2Bb@example.com", true, "a+b@example.com", "example.com"},
		{"mailto:a%21b@example.com", true, "a!b@example.com", "example.com"},
		{"mailto:a%40example.com", true, "a@example.com", "example.com"},
		{"mailto:a@example.com?subject=x%20y", true, "a@example.com", "example.com"},
		{"mailto:a@example.com#x", true, "a@example.com", "example.com"},
		{"mailto:a@b@example.com", false, "", ""},
		{"mailto:a%2Cb@example.com", false, "", ""},
		{"mailto:a%0D%0ABcc:b@example.com", false, "", ""},
		{"mailto:a%00@example.com", false, "", ""},
		{"mailto:a%20b@example.com", false, "", ""},
		{"mailto:a%3Cb%3E@example.com", false, "", ""},
		{"mailto:a%2@example.com", false, "", ""},
		{"mailto:a%@example.com", false, "", ""},
		{"mailto:%", false, "", ""},
		{"mailto:%4", false, "", ""},
		{"mailto:0", false, "", ""},
		{"mailto:@example.com", false, "", ""},
		{"mailto:a@", false, "", ""},
		{"mailto:a@[192.0.2.1]", false, "", ""},
		{"mailto:a@-_.", true, "a@-_", "-_"},
		{"mailto:a@example..com", false, "", ""},
		{"mailto:a@b\u00fccher.example", false, "", ""},
		{"mailto:a@b%C3%BCcher.example", true, "a@xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"mailto:" + strings.Repeat("a", 242) + "@example.com", true, strings.Repeat("a", 242) + "@example.com", "example.com"},
		{"mailto:" + strings.Repeat("a", 243) + "@example.com", false, "", ""},
		{"mailto", false, "", ""},
		{"http://example.com/", true, "", ""},
		{"h2+x.y-z:a", true, "", ""},
		{"2h:a", false, "", ""},
		{":a", false, "", ""},
		{"http:", false, "", ""},
		{"http://example.com/a b", false, "", ""},
		{"http://example.com/\"", false, "", ""},
	}
	for _, tt := range tests {
		r, err := dmarc.ParseRecord("v=DMARC1; p=none; rua=" + tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(r.RUA) == 1; got != tt.ok {
			t.Errorf("%q: got %+v", tt.text, r.RUA)
			continue
		}
		if !tt.ok {
			continue
		}
		if u := r.RUA[0]; u.Address != tt.address || u.Domain() != tt.domain {
			t.Errorf("%q: got %+v, domain %q", tt.text, u, u.Domain())
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, seed := range []string{
		"v=DMARC1; p=none",
		"v=DMARC1; p=quarantine; sp=none; np=reject; psd=n; t=y; adkim=s; aspf=s; fo=1:d:s",
		"V = DMARC1 ; P = Reject ; rua = mailto:a@example.com!10m , https://example.com/x ; pct=5; ri=60; rf=afrf",
		"v=DMARC1;;;",
		"v=DMARC1; sp=reject; rua=mailto:a%2Bb@B\u00fccher.example",
		"v=DMARC1; p=none; rf=mailto:; fo=0:1",
		"v=spf1 -all",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := dmarc.ParseRecord(text)
		if (err == nil) != dmarc.IsRecord(text) {
			t.Fatalf("IsRecord is %v, the error %v", dmarc.IsRecord(text), err)
		}
		if err != nil {
			return
		}
		plain := r.String()
		again, err := dmarc.ParseRecord(plain)
		if err != nil {
			t.Fatalf("%q: %v", plain, err)
		}
		if again.String() != plain {
			t.Fatalf("%q became %q", plain, again.String())
		}
		r.Warnings, again.Warnings = nil, nil
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("%q:\n got %+v\nwant %+v", plain, again, r)
		}
	})
}
