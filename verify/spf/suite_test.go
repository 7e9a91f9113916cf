package spf_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/spf"
)

// suitePath is the public test suite of RFC 7208, which is not part of the
// project.
const suitePath = "../../../shared/suites/rfc7208-tests.yml"

// preferred are the results we mean to give where the suite allows several.
var preferred = map[string]spf.Status{
	"invalid-domain-empty-label":    spf.Fail,      // RFC 7208 section 4.8: we choose "does not exist"
	"invalid-domain-long":           spf.Fail,      // the same
	"invalid-domain-long-via-macro": spf.Fail,      // the same
	"multispf1":                     spf.PermError, // section 4.5
	"p-macro-multiple":              spf.Pass,      // section 7.3: a subdomain of <domain> comes first
	"ptr-limit":                     spf.Neutral,   // section 4.6.4: the eleventh name is ignored
}

type scenario struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, Mailfrom string
		Result               oneOrMore
		Explanation          string
	}
	Zonedata map[string][]yaml.Node
}

type oneOrMore []spf.Status

func (o *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*o = oneOrMore{spf.Status(n.Value)}
		return nil
	}
	return n.Decode((*[]spf.Status)(o))
}

func readSuite(t *testing.T) []scenario {
	t.Helper()
	f, err := os.Open(suitePath)
	if err != nil {
		t.Skipf("without the public suite: %v", err)
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

// TestSuite runs the public suite, with answers from memory and with packets.
func TestSuite(t *testing.T) {
	const size = 203
	suite := readSuite(t)
	for _, way := range []struct {
		name     string
		resolver func(t *testing.T, z *dnstest.Zone) dns.Resolver
	}{
		{"memory", func(_ *testing.T, z *dnstest.Zone) dns.Resolver { return z }},
		{"packets", func(t *testing.T, z *dnstest.Zone) dns.Resolver {
			return dns.New(dns.Config{
				Servers: []string{dnstest.Serve(t, z)},
				Timeout: 600 * time.Millisecond,
			})
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			cases := 0
			for _, s := range suite {
				cases += len(s.Tests)
				t.Run(s.Description, func(t *testing.T) {
					t.Parallel()
					runScenario(t, s, way.resolver(t, suiteZone(t, s.Zonedata)))
				})
			}
			if cases != size {
				t.Errorf("%d cases, want %d", cases, size)
			}
		})
	}
}

// TestSuiteZones has each zone of the suite answer from memory as in packets.
func TestSuiteZones(t *testing.T) {
	questions := 0
	for _, s := range readSuite(t) {
		questions += dnstest.Alike(t, suiteZone(t, s.Zonedata))
	}
	if questions < 3000 {
		t.Errorf("only %d questions", questions)
	}
}

func runScenario(t *testing.T, s scenario, r dns.Resolver) {
	for name, c := range s.Tests {
		t.Run(name, func(t *testing.T) {
			var steps []spf.Step
			got := spf.Check(context.Background(), r, spf.Args{
				IP: netip.MustParseAddr(c.Host), Helo: c.Helo, MailFrom: c.Mailfrom,
				Receiver: "mx.example.org", Now: time.Unix(1400000000, 0), Explain: true,
				Trace: func(s spf.Step) { steps = append(steps, s) },
			})
			ok := slices.Contains(c.Result, got.Status)
			if p, found := preferred[name]; found {
				ok = got.Status == p
			} else if len(c.Result) > 1 {
				t.Error("no preference among the results allowed")
			}
			if !ok {
				t.Errorf("%s (%s), want %s", got.Status, got.Text(), c.Result)
			}
			if got.Status != spf.Pass && got.Text() == "" {
				t.Error("no reason")
			}
			want := c.Explanation
			if want == "DEFAULT" {
				want = ""
			}
			// The suite has the nibbles of %{i} in upper case,
			// RFC 7208 section 7.4 in lower case, and names are the same in either.
			if c.Explanation != "" && !strings.EqualFold(got.Explanation, want) {
				t.Errorf("explanation %q, want %q", got.Explanation, want)
			}
			if t.Failed() {
				for _, s := range steps {
					t.Logf("%+v", s)
				}
			}
		})
	}
}

// suiteZone makes a zone of zonedata. The suite holds records of type SPF,
// which stand for TXT records where a name has no TXT of its own, and
// "TIMEOUT", which is what types without records at a name give.
func suiteZone(t *testing.T, data map[string][]yaml.Node) *dnstest.Zone {
	t.Helper()
	z := dnstest.MustParse(t, "")
	for name, entries := range data {
		name = masterName(name)
		has, noCopy := map[string]bool{}, false
		for _, e := range entries {
			if e.Kind != yaml.MappingNode {
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
			if e.Kind == yaml.ScalarNode {
				if e.Value != "TIMEOUT" {
					t.Fatalf("%s: %s", name, e.Value)
				}
				for _, qtype := range []string{"TXT", "MX", "A", "AAAA", "PTR"} {
					if !has[qtype] {
						z.Timeout(name, qtype)
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

// masterName returns name as master files write it (RFC 1035 section 5.1).
func masterName(name string) string {
	name = strings.TrimSuffix(name, ".")
	return strings.ReplaceAll(name, " ", `\ `) + "."
}

// quoted returns text, whose characters stand for octets, as a quoted
// character-string of a master file.
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
