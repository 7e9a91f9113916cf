package dmarc

import (
	"strconv"
	"strings"
	"time"
)

// Defaults of the tags that RFC 9989 dropped (RFC 7489 section 6.3).
const (
	DefaultPercent  = 100
	DefaultInterval = 24 * time.Hour
)

// Disposition is a Domain Owner Assessment Policy (RFC 9989 section 3.2.8): how
// the domain owner wants messages that fail to be handled.
type Disposition string

// The dispositions of RFC 9989 section 4.7, tag p.
const (
	DispositionNone       Disposition = "none"
	DispositionQuarantine Disposition = "quarantine"
	DispositionReject     Disposition = "reject"
)

// severity orders dispositions, the mildest first.
func (d Disposition) severity() int {
	switch d {
	case DispositionReject:
		return 2
	case DispositionQuarantine:
		return 1
	}
	return 0
}

// stricter reports whether a asks for more than b.
func stricter(a, b Disposition) bool { return a.severity() > b.severity() }

// oneLevelBelow returns the disposition that a domain in test mode expects
// (RFC 9989 section 4.7, tag t).
func (d Disposition) oneLevelBelow() Disposition {
	if d == DispositionReject {
		return DispositionQuarantine
	}
	return DispositionNone
}

// Alignment is how an identifier must match the author domain
// (RFC 9989 section 3.2.10).
type Alignment string

// The values of the tags adkim and aspf.
const (
	Relaxed Alignment = "r" // the same Organizational Domain
	Strict  Alignment = "s" // the same domain
)

// PSD says whether the domain of a record is a public suffix
// (RFC 9989 section 4.7, tag psd).
type PSD string

// The values of the tag psd.
const (
	PSDUnknown PSD = "u" // not a public suffix, perhaps an Organizational Domain
	PSDYes     PSD = "y" // a public suffix
	PSDNo      PSD = "n" // an Organizational Domain
)

// FailureOptions are the occasions for failure reports that a domain owner asks
// for (RFC 9989 section 4.7, tag fo).
type FailureOptions struct {
	All  bool // "0": no mechanism produced an aligned pass
	Any  bool // "1": some mechanism did not produce an aligned pass
	DKIM bool // "d": a signature failed
	SPF  bool // "s": SPF failed
}

// String returns the options as the value of a tag fo.
func (o FailureOptions) String() string {
	var b []byte
	for _, c := range []struct {
		set  bool
		char byte
	}{{o.All, '0'}, {o.Any, '1'}, {o.DKIM, 'd'}, {o.SPF, 's'}} {
		if !c.set {
			continue
		}
		if len(b) > 0 {
			b = append(b, ':')
		}
		b = append(b, c.char)
	}
	return string(b)
}

// Record is a DMARC Policy Record (RFC 9989 section 4.7). Tags that are absent
// or have no valid value have their defaults.
type Record struct {
	// P, SP and NP are the policies for the domain, its subdomains, and
	// subdomains that do not exist; "" if the tag is absent. All are "" if
	// NoPolicy is set.
	P, SP, NP Disposition
	// NoPolicy reports whether p is missing or invalid, or sp or np is invalid.
	// The record then counts as p=none or not at all: see [Record.Usable].
	NoPolicy bool
	PSD      PSD
	// Testing is the tag t: the policy should be applied one level lower.
	Testing     bool
	ADKIM, ASPF Alignment
	// RUA and RUF are where to send aggregate and failure reports, at most
	// MaxURIs each.
	RUA, RUF []URI
	// FO only has a meaning if RUF is not empty.
	FO FailureOptions
	// Percent and Interval are the tags pct and ri of RFC 7489, which
	// RFC 9989 ignores.
	Percent  int
	Interval time.Duration
	// Warnings describe what is odd about the record, at most MaxWarnings. They
	// do not change its meaning.
	Warnings []string
}

// Usable reports whether DMARC applies to mail under this record. A record without
// a valid policy is only usable if it asks for aggregate reports
// (RFC 9989 section 4.10.1).
func (r *Record) Usable() bool { return !r.NoPolicy || len(r.RUA) > 0 }

// For returns how strictly identifiers of method must align, and false for a
// method that DMARC does not know.
func (r *Record) For(method string) (Alignment, bool) {
	switch method {
	case MethodDKIM:
		return r.ADKIM, true
	case MethodSPF:
		return r.ASPF, true
	}
	return "", false
}

// domainPolicy returns the policy for the domain of the record, and the tag
// that gives it.
func (r *Record) domainPolicy() (Disposition, string) {
	if r.NoPolicy {
		return DispositionNone, "p"
	}
	return r.P, "p"
}

// subdomainPolicy returns the policy for existing subdomains, and the tag that
// gives it.
func (r *Record) subdomainPolicy() (Disposition, string) {
	if r.SP != "" {
		return r.SP, "sp"
	}
	return r.domainPolicy()
}

// String returns the record in its canonical form: parsing it gives the same
// record without warnings about its form.
func (r *Record) String() string {
	var b strings.Builder
	b.WriteString("v=DMARC1")
	put := func(name, value string) {
		b.WriteString("; ")
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(value)
	}
	for _, t := range []struct {
		name  string
		value Disposition
	}{{"p", r.P}, {"sp", r.SP}, {"np", r.NP}} {
		if t.value != "" {
			put(t.name, string(t.value))
		}
	}
	if r.PSD != PSDUnknown {
		put("psd", string(r.PSD))
	}
	if r.Testing {
		put("t", "y")
	}
	if r.ADKIM != Relaxed {
		put("adkim", string(r.ADKIM))
	}
	if r.ASPF != Relaxed {
		put("aspf", string(r.ASPF))
	}
	if len(r.RUA) > 0 {
		put("rua", joinURIs(r.RUA))
	}
	if len(r.RUF) > 0 {
		put("ruf", joinURIs(r.RUF))
	}
	if fo := r.FO.String(); fo != "0" {
		put("fo", fo)
	}
	if r.Percent != DefaultPercent {
		put("pct", strconv.Itoa(r.Percent))
	}
	if r.Interval != DefaultInterval {
		put("ri", strconv.FormatInt(int64(r.Interval/time.Second), 10))
	}
	return b.String()
}
