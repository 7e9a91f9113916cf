package spf_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"authmilter/test/need"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

// suites are public test suites for RFC 7208: the community's, pyspf's, and that
// of the module blitiri.com.ar/go/spf. They are read from the folder of that
// module, which includes all three.
var suites = []struct {
	file  string
	cases int
}{
	{"rfc7208-tests.yml", 203},
	{"pyspf-tests.yml", 16},
	{"blitirispf-tests.yml", 83},
}

// preferred are the results we chose if the suites allow several.
var preferred = map[string]spf.Status{
	"invalid-domain-empty-label":    spf.Fail,      // RFC 7208 section 4.8: we choose "does not exist"
	"invalid-domain-long":           spf.Fail,      // the same
	"invalid-domain-long-via-macro": spf.Fail,      // the same
	"macro-empty-parts":             spf.Fail,      // the same
	"multispf1":                     spf.PermError, // section 4.5
	"p-macro-multiple":              spf.Pass,      // section 7.3: a subdomain of <domain> comes first
	"ptr-limit":                     spf.Neutral,   // section 4.6.4: the eleventh name is ignored
}

// exception is the correct result of a case whose own result contradicts
// RFC 7208, with the section that says so.
type exception struct {
	status spf.Status
	reason string
}

// exceptions are the exceptions in the unmodified suites.
var exceptions = map[string]exception{
	"default-modifier":       {spf.Neutral, unknownModifier},
	"default-modifier-harsh": {spf.Neutral, unknownModifier},

	"resolution-with-10-lookups": {spf.PermError, singleTarget},

	"lookup-limit-at-10":         {spf.None, singleLabel},
	"lookup-limit-at-10-matches": {spf.None, singleLabel},
	"lookup-limit-over-a":        {spf.None, singleLabel},
	"lookup-limit-over-mx":       {spf.None, singleLabel},
	"lookup-limit-over-exists":   {spf.None, singleLabel},
	"lookup-limit-over-ptr":      {spf.None, singleLabel},
	"lookup-limit-over-no-match": {spf.None, singleLabel},
	"void-limit-at-2":            {spf.None, singleLabel},
	"void-limit-over-a":          {spf.None, singleLabel},
	"void-limit-over-mx":         {spf.None, singleLabel},
	"void-limit-over-exists":     {spf.None, singleLabel},
	"void-limit-over-ptr":        {spf.None, singleLabel},
	"void-limit-over-in-include": {spf.None, singleLabel},
	"mx-resolution-10-terms":     {spf.None, singleLabel},
	"mx-resolution-11-terms":     {spf.None, singleLabel},
	"ptr-resolution-10-terms":    {spf.None, singleLabel},
	"ptr-resolution-11-terms":    {spf.None, singleLabel},
	"ptr-resolution-mixed-terms": {spf.None, singleLabel},
	"one-mx-not-found":           {spf.None, singleLabel},
	"all-mx-not-found":           {spf.None, singleLabel},
	"include-not-found":          {spf.None, singleLabel},
	"redirect-not-found":         {spf.None, singleLabel},
}

const (
	unknownModifier = "RFC 7208 section 6: unrecognized modifiers MUST be ignored, and default= is not defined"
	singleLabel     = "RFC 7208 section 4.3: the result is none if <domain> is not a multi-label domain name"
	singleTarget    = "RFC 7208 section 7.1: a domain-spec ends in a dot and a toplabel, or in a macro; include:d11 ends in neither"
)

// labelExceptions are the exceptions in TestSuiteLabels.
var labelExceptions = map[string]exception{
	"mx-resolution-10-terms": {spf.PermError, "RFC 7208 section 4.6.4: the limit on void look-ups counts terms whose queries find nothing, and here none of the MX hosts has an address"},
}

type scenario struct {
	Description, Comment string

	Tests    map[string]suiteCase
	Zonedata map[string][]yaml.Node
}

type suiteCase struct {
	Helo, Host, Mailfrom string
	Result               oneOrMore
	Explanation          string
}

func (s *scenario) name() string {
	return cmp.Or(s.Description, strings.TrimSpace(s.Comment), "scenario")
}

// secondLabel is the label that addLabels adds.
const secondLabel = ".example"

// needsLabel matches a term whose target has a single label.
var needsLabel = regexp.MustCompile(`((?:include|a|mx|exists|ptr|redirect)[:=]\w+)( |$)`)

// addLabels adds a second label to each single-label domain name in s.
func (s *scenario) addLabels() {
	for name, c := range s.Tests {
		if _, domain, _ := strings.Cut(c.Mailfrom, "@"); domain != "" && !strings.Contains(domain, ".") {
			c.Mailfrom += secondLabel
			s.Tests[name] = c
		}
	}
	zone := map[string][]yaml.Node{}
	for name, entries := range s.Zonedata {
		if !strings.Contains(name, ".") {
			name += secondLabel
		}
		for _, e := range entries {
			if fault(e) != "" {
				continue
			}
			switch value := e.Content[1]; e.Content[0].Value {
			case "SPF", "TXT":
				value.Value = needsLabel.ReplaceAllString(value.Value, "$1"+secondLabel+"$2")
			case "MX":
				if host := value.Content[1]; host.Value != "" && !strings.Contains(host.Value, ".") {
					host.Value += secondLabel
				}
			}
		}
		zone[name] = entries
	}
	s.Zonedata = zone
}

type oneOrMore []spf.Status

func (o *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*o = oneOrMore{spf.Status(n.Value)}
		return nil
	}
	return n.Decode((*[]spf.Status)(o))
}

func readSuite(t *testing.T, name string) []scenario {
	t.Helper()
	f, err := os.Open(filepath.Join(need.Module(t, "blitiri.com.ar/go/spf"), "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var suite []scenario
	for d := yaml.NewDecoder(f); ; {
		var s scenario
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			return suite
		} else if err != nil {
			t.Fatal(err)
		}
		suite = append(suite, s)
	}
}

// TestSuite runs the public suites, with DNS answers from memory and from a
// server.
func TestSuite(t *testing.T) {
	known := map[string]bool{}
	for _, suite := range suites {
		scenarios := readSuite(t, suite.file)
		cases := 0
		for _, s := range scenarios {
			cases += len(s.Tests)
			for name := range s.Tests {
				known[name] = true
			}
		}
		if cases != suite.cases {
			t.Errorf("%s: %d cases, want %d", suite.file, cases, suite.cases)
		}
		for _, s := range scenarios {
			t.Run(suite.file+"/"+s.name(), func(t *testing.T) { runScenario(t, s, exceptions) })
		}
	}
	for name := range exceptions {
		if !known[name] {
			t.Errorf("exceptions: no case is called %q", name)
		}
	}
	for name := range preferred {
		if !known[name] {
			t.Errorf("preferred: no case is called %q", name)
		}
	}
}

// TestSuiteLabels repeats the scenarios that are exceptions because of single-label
// domain names, with a second label added to each name, so that they test what they
// were written for.
func TestSuiteLabels(t *testing.T) {
	cases, excepted := 0, 0
	for _, suite := range suites {
		for _, s := range readSuite(t, suite.file) {
			single := false
			for name := range s.Tests {
				reason := exceptions[name].reason
				single = single || reason == singleLabel || reason == singleTarget
				if _, ok := labelExceptions[name]; ok {
					excepted++
				}
			}
			if !single {
				continue
			}
			cases += len(s.Tests)
			s.addLabels()
			t.Run(s.name(), func(t *testing.T) { runScenario(t, s, labelExceptions) })
		}
	}
	if cases != 25 || excepted != len(labelExceptions) {
		t.Errorf("%d cases, %d exceptions", cases, excepted)
	}
}

// timeout returns how long to wait for DNS answers in a scenario. It is only short
// if some answers never come.
func timeout(s scenario) time.Duration {
	for _, entries := range s.Zonedata {
		for _, e := range entries {
			if fault(e) == "TIMEOUT" {
				return 2 * time.Second
			}
		}
	}
	return time.Minute
}

// TestSuiteZones checks that each zone of the suites gives the same answers from
// memory and from a server.
func TestSuiteZones(t *testing.T) {
	questions := 0
	for _, suite := range suites {
		for _, s := range readSuite(t, suite.file) {
			questions += dnstest.Alike(t, suiteZone(t, s.Zonedata))
		}
	}
	if questions < 3000 {
		t.Errorf("only %d questions", questions)
	}
}

// runScenario runs every case of s, with DNS answers from memory and from a
// server. It expects the results in s, except for the cases in exceptions.
func runScenario(t *testing.T, s scenario, exceptions map[string]exception) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		z := suiteZone(t, s.Zonedata)
		for name, c := range s.Tests {
			t.Run(name, func(t *testing.T) { c.judge(t, c.check(z), name, exceptions) })
		}
	})
	t.Run("packets", func(t *testing.T) {
		r := dns.New(dns.Config{
			Servers: []string{dnstest.Serve(t, suiteZone(t, s.Zonedata))},
			Timeout: timeout(s),
		})
		// All at once, even with few processors: they mostly wait for servers that
		// do not answer.
		outcomes := map[string]chan outcome{}
		for name, c := range s.Tests {
			done := make(chan outcome, 1)
			outcomes[name] = done
			go func() { done <- c.check(r) }()
		}
		for name, c := range s.Tests {
			o := <-outcomes[name]
			t.Run(name, func(t *testing.T) { c.judge(t, o, name, exceptions) })
		}
	})
}

// outcome is the result of a case and its trace.
type outcome struct {
	spf.Result
	steps []spf.Step
}

func (c suiteCase) check(r dns.Resolver) outcome {
	var o outcome
	o.Result = spf.Check(context.Background(), r, spf.Args{
		IP: netip.MustParseAddr(c.Host), Helo: c.Helo, MailFrom: c.Mailfrom,
		Receiver: "mx.example.org", Now: time.Unix(1400000000, 0), Explain: true,
		Trace: func(s spf.Step) { o.steps = append(o.steps, s) },
	})
	return o
}

func (c suiteCase) judge(t *testing.T, got outcome, name string, exceptions map[string]exception) {
	ok := slices.Contains(c.Result, got.Status)
	if e, found := exceptions[name]; found {
		if slices.Contains(c.Result, e.status) {
			t.Errorf("not an exception: the suite also wants %s", c.Result)
		}
		if ok = got.Status == e.status; !ok {
			t.Errorf("want %s: %s", e.status, e.reason)
		}
	} else if p, found := preferred[name]; found {
		ok = got.Status == p
	} else if len(c.Result) > 1 {
		t.Error("the suite allows several results, and none is preferred")
	}
	if !ok {
		t.Errorf("%s (%s), the suite wants %s", got.Status, got.Text(), c.Result)
	}
	if got.Status != spf.Pass && got.Text() == "" {
		t.Error("no reason")
	}
	want := c.Explanation
	if want == "DEFAULT" {
		want = ""
	}
	// The nibbles of %{i} are in upper case in the suite, but in lower case in
	// RFC 7208 section 7.4. Case does not matter in names.
	if c.Explanation != "" && !strings.EqualFold(got.Explanation, want) {
		t.Errorf("explanation %q, want %q", got.Explanation, want)
	}
	if t.Failed() {
		for _, s := range got.steps {
			t.Logf("%+v", s)
		}
	}
}

// suiteZone makes a zone from zonedata. In the suites, records of type SPF also
// stand for TXT records, unless the name has TXT records. A fault at a name applies
// to all types without records there.
func suiteZone(t *testing.T, data map[string][]yaml.Node) *dnstest.Zone {
	t.Helper()
	z := dnstest.MustParse(t, "")
	for name, entries := range data {
		name = masterName(name)
		has, noCopy := map[string]bool{}, false
		for _, e := range entries {
			if fault(e) != "" {
				continue
			}
			qtype, value := e.Content[0].Value, e.Content[1].Value
			noCopy = noCopy || qtype == "TXT"
			if value != "NONE" {
				has[qtype] = true
			}
		}
		if !noCopy && has["SPF"] {
			has["TXT"] = true
		}
		for _, e := range entries {
			if fault := fault(e); fault == "CNAMELOOP" {
				if err := z.Add(name + " CNAME " + name); err != nil {
					t.Fatal(err)
				}
				continue
			} else if fault != "" {
				for _, qtype := range []string{"TXT", "MX", "A", "AAAA", "PTR"} {
					switch {
					case has[qtype]:
					case fault == "TIMEOUT":
						z.Timeout(name, qtype)
					default:
						z.Fail(name, qtype, fault)
					}
				}
				continue
			}
			qtype, value := e.Content[0].Value, e.Content[1]
			if qtype == "SPF" {
				if noCopy {
					continue
				}
				qtype = "TXT"
			}
			var parts []string
			if value.Kind == yaml.ScalarNode {
				parts = []string{value.Value}
			} else if err := value.Decode(&parts); err != nil {
				t.Fatal(err)
			}
			switch {
			case value.Value == "NONE":
				continue
			case qtype == "TXT" && len(parts) == 0:
				parts = []string{`""`}
			case qtype == "TXT":
				for i := range parts {
					parts[i] = quoted(parts[i])
				}
			case qtype == "A" || qtype == "AAAA":
			default:
				last := len(parts) - 1
				parts[last] = masterName(parts[last])
			}
			record := fmt.Sprintf("%s %s %s", name, qtype, strings.Join(parts, " "))
			if err := z.Add(record); err != nil {
				t.Fatalf("%s: %v", record, err)
			}
		}
	}
	return z
}

// fault returns the fault that an entry of a zone stands for: "TIMEOUT",
// "SERVFAIL", "CNAMELOOP", or "" if the entry is a record.
func fault(e yaml.Node) string {
	if e.Kind != yaml.MappingNode {
		return e.Value
	}
	switch name := e.Content[0].Value; name {
	case "TIMEOUT", "SERVFAIL", "CNAMELOOP":
		return name
	}
	return ""
}

// masterName returns name in master-file form (RFC 1035 section 5.1).
func masterName(name string) string {
	name = strings.TrimSuffix(name, ".")
	return strings.ReplaceAll(name, " ", `\ `) + "."
}

// quoted returns text as a quoted character-string in master-file form. Each
// character of text stands for one octet.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			fmt.Fprintf(&b, `\%03d`, r)
		} else {
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
