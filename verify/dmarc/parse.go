package dmarc

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"authmilter/verify/clean"
	"authmilter/verify/fault"
)

// Limits for a record.
const (
	// MaxRecord is the maximum length of a record in octets: what a DNS message
	// can hold.
	MaxRecord = 65535
	// MaxURIs is how many URIs of each tag are kept.
	MaxURIs = 20
	// MaxWarnings is the maximum number of warnings about a record.
	MaxWarnings = 20
	// maxShown is how many octets of a record's text a warning quotes.
	maxShown = 40
)

// ErrNotDMARC is returned for text that is not a DMARC Policy Record, such as
// other TXT records.
var ErrNotDMARC = fault.New(None, ReasonNoPolicy, "not a DMARC policy record")

// IsRecord reports whether txt is a DMARC Policy Record, even a malformed one:
// whether it begins with the tag v and the value DMARC1, in upper case
// (RFC 9989 section 4.7, tag v).
func IsRecord(txt string) bool {
	_, ok := cutVersion(txt)
	return ok
}

// cutVersion returns what follows the version and its separator in txt. ok is
// false if txt does not begin with a version. The name of the tag is a quoted
// string of RFC 5234, so case does not matter; in its value case does matter
// (RFC 9989 section 4.8).
func cutVersion(txt string) (rest string, ok bool) {
	if len(txt) > MaxRecord || txt == "" || txt[0]|0x20 != 'v' {
		return "", false
	}
	spec, rest, _ := strings.Cut(txt[1:], ";")
	spec, ok = strings.CutPrefix(trimWSP(spec), "=")
	return rest, ok && trimWSP(spec) == "DMARC1"
}

// ParseRecord parses a DMARC Policy Record. The only error is [ErrNotDMARC], for
// text that is not a policy record. Unknown tags and invalid values are ignored
// (RFC 9989 section 4.8). If a tag occurs several times, the first one counts.
// ParseRecord takes time linear in the length of txt.
func ParseRecord(txt string) (*Record, error) {
	rest, ok := cutVersion(txt)
	if !ok {
		return nil, ErrNotDMARC
	}
	p := parser{Record: Record{
		PSD: PSDUnknown, ADKIM: Relaxed, ASPF: Relaxed, FO: FailureOptions{All: true},
		Percent: DefaultPercent, Interval: DefaultInterval,
	}}
	for more := true; more; {
		var spec string
		spec, rest, more = strings.Cut(rest, ";")
		if spec = trimWSP(spec); spec != "" {
			p.tag(spec)
		} else if more {
			p.warn("empty tag")
		}
	}
	p.finish()
	return &p.Record, nil
}

// parser fills a Record.
type parser struct {
	Record
	seen [len(tags)]bool
	// badPolicy reports whether p, sp or np has an invalid value.
	badPolicy bool
	warned    bool // reports whether there are more warnings than are kept
}

// tags are the registered tags of RFC 9989 section 9.3.
var tags = [...]string{"p", "sp", "np", "psd", "t", "adkim", "aspf", "rua", "ruf", "fo", "pct", "ri", "rf", "v"}

// tag parses one tag-spec, which is not empty.
func (p *parser) tag(spec string) {
	name, value, found := strings.Cut(spec, "=")
	name, value = trimWSP(name), trimWSP(value)
	if !found {
		p.warn("not a tag: " + shown(spec))
		return
	}
	// Names in a tag list are case-sensitive (RFC 6376 section 3.2), but not in the
	// grammars of RFC 7489 section 6.4 and RFC 9989 section 4.8: a record with "P="
	// clearly means "p=".
	index := slices.IndexFunc(tags[:], func(tag string) bool { return strings.EqualFold(tag, name) })
	if index < 0 {
		p.warn("unknown tag " + shown(name))
		return
	}
	if p.seen[index] || tags[index] == "v" {
		p.warn("tag " + tags[index] + " occurs again")
		return
	}
	p.seen[index] = true
	if name != tags[index] {
		p.warn("tag " + tags[index] + " is not in lower case")
	}
	p.set(tags[index], value)
}

// set sets a known tag, if its value is valid.
func (p *parser) set(name, value string) {
	ok := true
	switch name {
	case "p":
		p.P, ok = p.policy(value)
	case "sp":
		p.SP, ok = p.policy(value)
	case "np":
		p.NP, ok = p.policy(value)
	case "psd":
		ok = choose(&p.PSD, value, PSDUnknown, PSDYes, PSDNo)
	case "t":
		t := "n"
		ok = choose(&t, value, "y", "n")
		p.Testing = t == "y"
	case "adkim":
		ok = choose(&p.ADKIM, value, Relaxed, Strict)
	case "aspf":
		ok = choose(&p.ASPF, value, Relaxed, Strict)
	case "rua":
		p.RUA = p.uris(name, value)
	case "ruf":
		p.RUF = p.uris(name, value)
	case "fo":
		ok = p.failureOptions(value)
	case "pct":
		p.warn("tag pct is obsolete")
		if n, err := strconv.ParseUint(value, 10, 8); err == nil && n <= 100 && len(value) <= 3 {
			p.Percent = int(n)
		} else {
			ok = false
		}
	case "ri":
		p.warn("tag ri is obsolete")
		if n, err := strconv.ParseUint(value, 10, 32); err == nil {
			p.Interval = time.Duration(n) * time.Second
		} else {
			ok = false
		}
	case "rf":
		p.warn("tag rf is obsolete")
	}
	if !ok {
		p.warn("invalid value of tag " + name + ": " + shown(value))
	}
}

func (p *parser) policy(value string) (Disposition, bool) {
	var d Disposition
	ok := choose(&d, value, DispositionNone, DispositionQuarantine, DispositionReject)
	p.badPolicy = p.badPolicy || !ok
	return d, ok
}

// choose sets what to the choice that equals value, ignoring case
// (RFC 5234 section 2.3). It returns false if there is none.
func choose[T ~string](what *T, value string, choices ...T) bool {
	for _, c := range choices {
		if strings.EqualFold(value, string(c)) {
			*what = c
			return true
		}
	}
	return false
}

// failureOptions parses the value of a tag fo. RFC 9989 section 4.7 does not allow
// "0" and "1" together, but RFC 7489 did, and it is common. The meaning is clear:
// every occasion for "0" is also one for "1".
func (p *parser) failureOptions(value string) bool {
	var o FailureOptions
	for rest, more := value, true; more; {
		var option string
		option, rest, more = strings.Cut(rest, ":")
		switch trimWSP(option) {
		case "0":
			o.All = true
		case "1":
			o.Any = true
		case "d", "D":
			o.DKIM = true
		case "s", "S":
			o.SPF = true
		default:
			return false
		}
	}
	if o.All && o.Any {
		p.warn("options 0 and 1 of tag fo exclude each other")
	}
	p.FO = o
	return true
}

// uris parses a list of URIs and drops the invalid ones.
func (p *parser) uris(name, value string) []URI {
	var list []URI
	for rest, more := value, true; more; {
		var text string
		text, rest, more = strings.Cut(rest, ",")
		text = trimWSP(text)
		uri, sized, ok := parseURI(text)
		switch {
		case !ok:
			p.warn("invalid URI in tag " + name + ": " + shown(text))
			continue
		case len(list) == MaxURIs:
			p.warn("too many URIs in tag " + name)
			return list
		case sized:
			p.warn("obsolete size limit in tag " + name)
		}
		list = append(list, uri)
	}
	return list
}

// finish sets what depends on several tags.
func (p *parser) finish() {
	switch {
	case p.badPolicy:
		p.NoPolicy = true
	case p.P == "":
		p.NoPolicy = true
		p.warn("tag p is missing")
	}
	if p.NoPolicy {
		// "act as if a record containing "p=none" was retrieved": the other policy
		// tags do not count (RFC 9989 section 4.10.1).
		p.P, p.SP, p.NP = "", "", ""
	}
}

// warn adds a warning. Its beginning never depends on text from the record.
func (p *parser) warn(text string) {
	switch {
	case len(p.Warnings) < MaxWarnings-1:
		p.Warnings = append(p.Warnings, text)
	case !p.warned:
		p.warned = true
		p.Warnings = append(p.Warnings, "and more")
	}
}

// shown quotes text from the record for a warning.
func shown(text string) string { return strconv.Quote(clean.Text(text, maxShown)) }

// trimWSP returns s without white space at its ends (RFC 5234 appendix B.1,
// WSP).
func trimWSP(s string) string { return strings.Trim(s, " \t") }
