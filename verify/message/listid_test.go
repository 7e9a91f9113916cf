package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestListID(t *testing.T) {
	long := strings.Repeat("x", maxListID-len(".example")) + ".example"
	for _, test := range []struct {
		fields []string
		want   []string
		err    error
	}{
		{nil, nil, nil},
		{[]string{" List Header Mailing List <List-Header.nisto.com>"}, []string{"list-header.nisto.com"}, nil},
		{[]string{" <commonspace-users.list-id.within.com>"}, []string{"commonspace-users.list-id.within.com"}, nil},
		{[]string{` "Lena's <odd> list" <lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost>`},
			[]string{"lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost"}, nil},
		{[]string{" folded\r\n <\r\n list.example.com\r\n >"}, []string{"list.example.com"}, nil},
		{[]string{" <list>"}, []string{"list"}, nil},
		{[]string{" <list.example.com.>"}, []string{"list.example.com"}, nil},
		{[]string{" <" + long + ">"}, []string{long}, nil},

		// A dot-atom, not a host name.
		{[]string{" <libstdc++.gcc.gnu.org>"}, []string{"libstdc++.gcc.gnu.org"}, nil},
		{[]string{" <R&D_all!.Example.com>"}, []string{"r&d_all!.example.com"}, nil},
		{[]string{" <" + strings.Repeat("x", 64) + ".example.com>"}, []string{strings.Repeat("x", 64) + ".example.com"}, nil},
		{[]string{" <liste.bücher.example>"}, []string{"liste.xn--bcher-kva.example"}, nil},
		{[]string{" <list@example.com>"}, nil, ErrListID},
		{[]string{" <my list.example.com>"}, nil, ErrListID},
		{[]string{" <list..example.com>"}, nil, ErrListID},
		{[]string{" <.list.example.com>"}, nil, ErrListID},
		{[]string{" <list.example.com (the list)>"}, nil, ErrListID},
		{[]string{` <"list".example.com>`}, nil, ErrListID},
		{[]string{" <list\u3002a.example.com>"}, nil, ErrListID},
		{[]string{" <list\xff.example.com>"}, nil, ErrListID},
		{[]string{" <list\x00.example.com>"}, nil, ErrListID},
		{[]string{" <x" + long + ">"}, nil, ErrListID},

		// Descriptions are free-form.
		{[]string{" We <3 lists <list.example.com>"}, []string{"list.example.com"}, nil},
		{[]string{` 5" disks <list.example.com>`}, []string{"list.example.com"}, nil},
		{[]string{` "5\" <disks>" <list.example.com>`}, []string{"list.example.com"}, nil},
		{[]string{" a > b <list.example.com>"}, []string{"list.example.com"}, nil},

		// No valid identifier.
		{[]string{""}, nil, ErrListID},
		{[]string{" list.example.com"}, nil, ErrListID},
		{[]string{" <list.example.com"}, nil, ErrListID},
		{[]string{" list.example.com>"}, nil, ErrListID},
		{[]string{` "<list.example.com>"`}, nil, ErrListID},
		{[]string{" <>"}, nil, ErrListID},

		// Several identifiers.
		{[]string{" <a.example.com>", " <b.example.com>"}, []string{"a.example.com", "b.example.com"}, nil},
		{[]string{" <a.example.com>", " <A.EXAMPLE.COM>"}, []string{"a.example.com"}, nil},
		{[]string{" <a.example.com> <b.example.com>"}, []string{"a.example.com", "b.example.com"}, nil},
		{[]string{" <a.example.com>", " b.example.com"}, []string{"a.example.com"}, ErrListID},
		{[]string{" <a.example.com> <b.example.com"}, []string{"a.example.com"}, ErrListID},
		{[]string{` <a"b.example.com> "<b.example.com>`}, nil, ErrListID},
	} {
		var h Header
		for _, f := range test.fields {
			h = append(h, Field{Name: "Subject", Raw: " <none.example>"}, Field{Name: "List-ID", Raw: f})
		}
		got := h.ListID()
		if !slices.Equal(got.IDs, test.want) || !errors.Is(got.Err, test.err) {
			t.Errorf("%q: %q, %v; want %q, %v", test.fields, got.IDs, got.Err, test.want, test.err)
		}
	}
}

func TestListIDBounds(t *testing.T) {
	for _, test := range []struct {
		n   int
		err error
	}{{maxListIDs, nil}, {maxListIDs + 1, ErrListIDBounds}} {
		var fields Header
		var field strings.Builder
		for i := range test.n {
			id := fmt.Sprintf(" <l%d.example>", i)
			fields = append(fields, Field{Name: "List-Id", Raw: id})
			field.WriteString(id)
		}
		for _, h := range []Header{fields, {{Name: "List-Id", Raw: field.String()}}} {
			if got := h.ListID(); len(got.IDs) != maxListIDs || !errors.Is(got.Err, test.err) {
				t.Errorf("%d identifiers: %d, %v", test.n, len(got.IDs), got.Err)
			}
		}
	}
}

// FuzzListID checks that every identifier read parses to itself, and that a field
// without an identifier is an error.
func FuzzListID(f *testing.F) {
	for _, raw := range []string{
		" List <list.example.com>", " <libstdc++.gcc.gnu.org>", ` "a \"b\" <c>" <d.example>`, " <a.example> <b.example", " <bücher.example>",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := Header{{"List-Id", raw}}.ListID()
		if len(got.IDs) == 0 && got.Err == nil {
			t.Errorf("%q: neither an identifier nor an error", raw)
		}
		for _, id := range got.IDs {
			again := Header{{"List-Id", raw}, {"List-Id", "<" + id + ">"}}.ListID()
			if parsed, err := ParseListID(id); err != nil || parsed != id || !slices.Equal(again.IDs, got.IDs) {
				t.Errorf("%q: %q reads as %q, %v, and in a field as %q", raw, id, parsed, err, again.IDs)
			}
		}
		// A second field is never missed.
		more := Header{{"List-Id", raw}, {"List-Id", "<probe.example>"}}.ListID()
		if !slices.Contains(more.IDs, "probe.example") && !errors.Is(more.Err, ErrListIDBounds) {
			t.Errorf("%q: the probe is missing: %q, %v", raw, more.IDs, more.Err)
		}
	})
}
