package verify_test

import (
	"slices"
	"strings"
	"testing"

	"authmilter/verify"
	"authmilter/verify/message"
)

// TestUnjudgedAuthors puts an author whose mail passes beside text that some reader
// shows as another author.
func TestUnjudgedAuthors(t *testing.T) {
	const own = "joe@football.example.com"
	cut := own + ", <joe@victim.example"
	long := strings.Repeat("x", 998-len("From: ")-len(cut)-len(", "))
	var many []string
	for range 20_000 {
		many = append(many, own)
	}
	for _, test := range []struct{ name, from, want string }{
		{"the author alone", own, "pass none football.example.com"},
		{"a display name", `"joe@victim.example" <` + own + ">", "pass none football.example.com"},
		{"one label in a display name", "Joe @ home, inc. <" + own + ">", "pass none football.example.com"},
		{"one label, and a comma", "Doe, Joe@Home <" + own + ">", "pass none football.example.com"},

		{"an invisible character", "joe@vic\u200etim.example", "fail reject victim.example"},
		{"an octet that is not UTF-8", "joe@vic\xfftim.example", "fail reject victim.example"},
		{"a NUL", "joe@vic\x00tim.example", "fail reject victim.example"},
		{"the same in an A-label", "joe@xn--bank-w76a.example", "permerror none "},
		{"an A-label beside the author", own + ", joe@xn--bank-w76a.example", "permerror none "},
		{"a fragment before a percent sign", "<info@4711%victim.example>", "permerror none "},
		{"a fragment before a comma", "<info@victim,example>", "permerror none "},
		{"a fragment before a space", "<info@customer victim.example>", "permerror none "},
		{"a fragment beside the author", "<info@4711%victim.example>, " + own, "permerror none "},
		{"a single label beside the author", own + ", <info@victim>", "permerror none "},
		{"a literal beside the author", own + ", joe@[192.0.2.1]", "permerror none "},
		{"a quoted local part", `<"joe@victim.example>"@football.example.com>`, "fail reject victim.example"},
		{"a quoted local part that ends in a quote", `"joe@victim.example \""@football.example.com`, "fail reject victim.example"},
		{"an encoded word as local part", "=?utf-8?q?joe=40victim.example?=@football.example.com", "fail reject victim.example"},
		{"an encoded word as domain", "joe@=?utf-8?q?victim.example?=", "fail reject victim.example"},
		{"a list too long to read", strings.Join(many, ",\r\n "), "permerror none "},
		{"an overlong line", long + ", " + cut + "-x.nowhere.example>", "fail reject victim.example"},
		{"an overlong line without another author", long + long + " <" + own + ">", "permerror none "},
	} {
		h := message.Header{message.NewField("From", " "+test.from)}
		res := run(verify.New(verify.Options{Resolver: newResolver(t)}), envelope, h, []byte("x\r\n"))
		got := strings.Join([]string{string(res.DMARC.Status), string(res.DMARC.Disposition), res.DMARC.Author}, " ")
		if got != test.want {
			t.Errorf("%s: %s, want %s (%v, %v)", test.name, got, test.want, res.DMARC.Err, res.Author.Err)
		}
		if slices.Contains(res.Author.Domains, "4711") {
			t.Errorf("%s: %q", test.name, res.Author.Domains)
		}
	}
}
