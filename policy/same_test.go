package policy

import "testing"

func TestAuthorOf(t *testing.T) {
	for _, test := range []struct{ field, want string }{
		{" mx; spf=pass smtp.mailfrom=a@example.net; dmarc=fail (p=none) header.from=Example.COM", "example.com"},
		{" mx; dmarc=permerror reason=\"message header too large\"", ""},
		{" mx; dmarc=pass header.from=a.example; dmarc=pass header.from=b.example", ""},
		{" mx; dmarc=pass header.from=\"a b\"", ""},
		{" mx; spf=pass", ""},
		{" mx; none", ""},
		{" mx; dmarc=pass header.from=a.example (", ""},
		{"", ""},
	} {
		if got, ok := AuthorOf(test.field); got != test.want || ok != (test.want != "") {
			t.Errorf("%s: %q, %v", test.field, got, ok)
		}
	}
}
