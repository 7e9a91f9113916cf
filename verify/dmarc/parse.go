package dmarc

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"authmilter/verify/clean"
	"authmilter/verify/fault"
)

// Bounds of a record.
const (
	// MaxRecord is the longest record in octets: what a DNS message can hold.
	MaxRecord = 65535
	// MaxURIs is how many URIs of each tag are kept.
	MaxURIs = 20
	// MaxWarnings is how many oddities of a record are told.
	MaxWarnings = 20
	// maxShown is how much of a text from outside a warning shows, in octets.
	maxShown = 40
)

// ErrNotDMARC is returned for text that is not a DMARC Policy Record at all:
// what else may be found in TXT records.
var ErrNotDMARC = fault.New(None, ReasonNoPolicy, "not a DMARC policy record")

// IsRecord tells whether txt is a DMARC Policy Record, however bad: whether it
// begins with the tag v and the value DMARC1, in that case
// (RFC 9989 section 4.7, tag v).
func IsRecord(txt string) bool {
	_, ok := cutVersion(txt)
	return ok
}

// cutVersion returns what follows the version and its separator in txt, and
// false where txt does not begin with a version. The name of the tag is a
// quoted string of RFC 5234 and so of any case; its value is not
// (RFC 9989 section 4.8).
func cutVersion(txt string) (rest string, ok bool) {
	if len(txt) > MaxRecord || txt == "" || txt[0]|0x20 != 'v' {
		return "", false
	}
	spec, rest, _ := strings.Cut(txt[1:], ";")
	spec, ok = strings.CutPrefix(trimWSP(spec), "=")
	return rest, ok && trimWSP(spec) == "DMARC1"
}

// ParseRecord parses a DMARC Policy Record. Text that is not one gives an error for
// which errors.Is(err, [ErrNotDMARC]) is true, which is the only error. Unknown
// tags are ignored, and so is whatever of a tag is not valid
// (RFC 9989 section 4.8). Of a tag that occurs several times the first counts. It
// takes time linear in the text.
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
	// badPolicy tells that p, sp or np was met with a value that is none.
	badPolicy bool
	warned    bool // that there are more warnings than are kept
}

// tags are the names of the registry in RFC 9989 section 9.3.
var tags = [...]string{"p", "sp", "np", "psd", "t", "adkim", "aspf", "rua", "ruf", "fo", "pct", "ri", "rf", "v"}

// tag reads one tag-spec, which is not empty.
func (p *parser) tag(spec string) {
	name, value, found := strings.Cut(spec, "=")
	name, value = trimWSP(name), trimWSP(value)
	if !found {
		p.warn("not a tag: " + shown(spec))
		return
	}
	// A tag list has case-sensitive names (RFC 6376 section 3.2), the grammars of
	// RFC 7489 section 6.4 and RFC 9989 section 4.8 do not: nobody who writes "P="
	// means an unknown tag.
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

// set gives a known tag its value, if that is valid.
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

// choose sets what to the choice that value is, in any case
// (RFC 5234 section 2.3), and returns false where it is none.
func choose[T ~string](what *T, value string, choices ...T) bool {
	for _, c := range choices {
		if strings.EqualFold(value, string(c)) {
			*what = c
			return true
		}
	}
	return false
}

// failureOptions reads the value of a tag fo. "0" and "1" together are wrong by
// RFC 9989 section 4.7, but common since RFC 7489 allowed it, and clear: every
// occasion for the first is one for the second.
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

// uris reads a list of URIs, and leaves out what is not one.
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

// finish settles what depends on several tags.
func (p *parser) finish() {
	switch {
	case p.badPolicy:
		p.NoPolicy = true
	case p.P == "":
		p.NoPolicy = true
		p.warn("tag p is missing")
	}
	if p.NoPolicy {
		// "act as if a record containing "p=none" was retrieved": what the other
		// policy tags say is void (RFC 9989 section 4.10.1).
		p.P, p.SP, p.NP = "", "", ""
	}
}

// warn keeps a warning. Each begins the same whatever the record says.
func (p *parser) warn(text string) {
	switch {
	case len(p.Warnings) < MaxWarnings-1:
		p.Warnings = append(p.Warnings, text)
	case !p.warned:
		p.warned = true
		p.Warnings = append(p.Warnings, "and more")
	}
}

// shown returns text from outside as a warning may show it.
func shown(text string) string { return strconv.Quote(clean.Text(text, maxShown)) }

// trimWSP returns s without white space at its ends (RFC 5234 appendix B.1,
// WSP).
func trimWSP(s string) string { return strings.Trim(s, " \t") }
