package message

import (
	"strings"
	"testing"
)

func TestListID(t *testing.T) {
	for _, test := range []struct {
		fields []string
		want   string
	}{
		{nil, ""},
		{[]string{" List Header Mailing List <List-Header.nisto.com>"}, "list-header.nisto.com"},
		{[]string{" <commonspace-users.list-id.within.com>"}, "commonspace-users.list-id.within.com"},
		{[]string{` "Lena's <odd> list" <lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost>`}, "lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost"},
		{[]string{" folded\r\n <\r\n list.example.com\r\n >"}, "list.example.com"},
		{[]string{" list.example.com"}, ""},
		{[]string{" <list.example.com"}, ""},
		{[]string{" <>"}, ""},
		{[]string{" <" + strings.Repeat("x", 256) + ">"}, ""},
		{[]string{" <a.example.com>", " <b.example.com>"}, ""},
	} {
		var h Header
		for _, f := range test.fields {
			h = append(h, Field{Name: "List-ID", Raw: f})
		}
		if got := h.ListID(); got != test.want {
			t.Errorf("%q: %q, want %q", test.fields, got, test.want)
		}
	}
}
