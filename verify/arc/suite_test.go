package arc_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"authmilter/test/need"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
)

// exceptions are the cases of the suite that contradict a standard, with the section
// that decides.
var exceptions = map[string]struct {
	status  arc.Status
	section string
}{
	"ams_fields_c_na": {arc.Fail, "RFC 6376 section 3.5, tag c=: the default is \"simple/simple\", which RFC 8617 section 4.1.2 does not change; the message is signed as relaxed"},
}

type suiteScenario struct {
	Description string
	Tests       suiteTests
	Records     map[string]string `yaml:"txt-records"`
}

// suiteTests is a mapping in which some keys occur twice.
type suiteTests []suiteTest

type suiteTest struct {
	Name, Message, CV string
}

func (all *suiteTests) UnmarshalYAML(n *yaml.Node) error {
	for i := 0; i < len(n.Content); i += 2 {
		test := suiteTest{Name: n.Content[i].Value}
		if err := n.Content[i+1].Decode(&test); err != nil {
			return err
		}
		*all = append(*all, test)
	}
	return nil
}

// TestSuite runs one half of the public suite for ARC validation, which is in the
// optional directory beside the repository.
func TestSuite(t *testing.T) {
	f, err := os.Open(need.Shared(t, "suites/arc-validation-half.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cases := 0
	for d := yaml.NewDecoder(f); ; {
		var s suiteScenario
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		zone := dnstest.MustParse(t, "")
		for name, text := range s.Records {
			zone.AddTXT(name, text)
		}
		dnstest.Alike(t, zone)
		for _, test := range s.Tests {
			cases++
			t.Run(test.Name, func(t *testing.T) {
				want := arc.Status(strings.ToLower(test.CV))
				if want == "" {
					want = arc.Fail // the suite gives no result for a chain with cv=fail; RFC 8617 section 5.2 step 2 does
				}
				if e, ok := exceptions[test.Name]; ok {
					if e.status == want {
						t.Errorf("the suite expects %s too: not an exception", want)
					}
					want = e.status
				}
				msg := strings.ReplaceAll(test.Message, "\n", "\r\n")
				r := verify(t, msg, zone, dkim.Options{}, 1<<16)
				if r.Status != want {
					t.Errorf("%s (%v), want %s", r.Status, r.Err, want)
				}
			})
		}
	}
	if cases < 80 {
		t.Errorf("only %d cases", cases)
	}
}
