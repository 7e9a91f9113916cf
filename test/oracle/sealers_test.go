package oracle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/authres"
)

// TestSealers checks that we read no result in a field of another host that other
// programs do not read too, and miss none that counts, however its words differ from
// what RFC 8601 allows and whatever text senders supply.
func TestSealers(t *testing.T) {
	r := newRandom(8617)
	values := make([]string, resultsInputs())
	for i := range values {
		values[i] = sealerField(r)
	}
	for _, reader := range resultsReaders {
		read := 0
		for i, a := range reader.ask(t, "field", values) {
			if a.Results == nil {
				continue // it refuses the whole field
			}
			read++
			ours, err := authres.Parse(values[i])
			if err != nil {
				t.Errorf("%s reads a field that we do not: %v: %s", reader.name, err, values[i])
			} else if err := readBoth(ours, a); err != nil {
				t.Errorf("%s: %v: %s", reader.name, err, values[i])
			}
		}
		if read < len(values)/10 {
			t.Errorf("%s reads only %d of %d: too few to compare", reader.name, read, len(values))
		}
		t.Logf("%s reads %d of %d fields", reader.name, read, len(values))
	}
}

// readBoth returns how ours differs from what another program reads. The program may
// read more entries, such as "client-ip=192.0.2.1" or one with a stray word, and fewer
// properties: authres skips quoted values.
func readBoth(ours *authres.Results, a resultsAnswer) error {
	theirs := a.Results.Methods
	for _, m := range ours.Methods {
		same := func() bool {
			return theirs[0].Name == m.Name && theirs[0].Result == m.Result && !slices.ContainsFunc(theirs[0].Props, func(p [3]string) bool {
				return p[1] != "" && !slices.Contains(m.Props, authres.Prop{Type: p[0], Name: p[1], Value: p[2]})
			})
		}
		for len(theirs) > 0 && !same() {
			theirs = theirs[1:]
		}
		if len(theirs) == 0 {
			return fmt.Errorf("only we read %+v", m)
		}
		theirs = theirs[1:]
	}
	for _, m := range a.Results.Methods {
		if slices.Contains([]string{"dmarc", "dkim", "spf"}, m.Name) && !ours.Lost(m.Name) &&
			!slices.ContainsFunc(ours.Methods, func(o authres.Method) bool { return o.Name == m.Name && o.Result == m.Result }) {
			return fmt.Errorf("we do not read %s=%s", m.Name, m.Result)
		}
	}
	return nil
}

// sealerField returns the value of a field as hosts in use write them, with hostile
// text in its quoted strings and comments. Nothing in them is escaped, because
// Mail::AuthenticationResults does not know "\\)" in comments. Only the last value of a result is empty:
// for other programs, an empty value is followed by what is after the space.
func sealerField(r random) string {
	escape := strings.NewReplacer(`\`, "/", `"`, "'", "(", "[", ")", "]")
	text := func() string {
		return escape.Replace(one(r, "a", "a b", "; dmarc=pass header.from=bank.example", "dmarc=pass", "a; spf=pass", `"`, `\`, "(", ")", "=", "<a@b.example>", "x; y", "joe@example.com", "none"))
	}
	word := func() string {
		return one(r, "", " action=none", " x-bits=2048", " d=example.com", " score=-1", ` x="`+text()+`"`,
			" ("+text()+")", " policy.x=a/b=c", ` smtp.helo="`+text()+`"`, " stray", " a@b")
	}
	entry := func() string {
		return one(r, "spf=pass smtp.mailfrom=joe@example.com", "dkim=pass header.i=@example.com header.s=s", "dkim=fail header.d=example.com", "dmarc=pass header.from=example.com",
			"dmarc=fail header.from=<joe@example.com>", "arc=none", "client-ip=192.0.2.1", "envelope-from=joe@example.com", "x-vs=spam:low", "dkim-adsp=pass", "(null)=pass", "")
	}
	field := ownName + one(r, "", " 1")
	for range 1 + r.IntN(4) {
		field += one(r, "; ", ";", ";\r\n\t") + entry() + word() + word() + one(r, "", " policy.y=")
	}
	return field + one(r, "", ";")
}
