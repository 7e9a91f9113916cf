package scenario

import (
	"slices"
	"testing"
)

func TestDifference(t *testing.T) {
	for _, tt := range []struct {
		name      string
		sent, got []string
		removed   []string
		changed   string
	}{
		{name: "the same", sent: []string{"A: 1", "B: 2"}, got: []string{"A: 1", "B: 2"}},
		{name: "one less", sent: []string{"A: 1", "B: 2", "A: 1"}, got: []string{"A: 1", "B: 2"}, removed: []string{"A: 1"}},
		{name: "first less", sent: []string{"A: 1", "B: 2"}, got: []string{"B: 2"}, removed: []string{"A: 1"}},
		{name: "one more", sent: []string{"A: 1"}, got: []string{"A: 1", "B: 2"}, changed: "B: 2"},
		{name: "one more within", sent: []string{"A: 1", "C: 3"}, got: []string{"A: 1", "B: 2", "C: 3"}, removed: []string{"C: 3"}, changed: "B: 2"},
		{name: "an octet", sent: []string{"A: 1", "B: 2"}, got: []string{"A:  1", "B: 2"}, removed: []string{"A: 1", "B: 2"}, changed: "A:  1"},
		{name: "swapped", sent: []string{"A: 1", "B: 2"}, got: []string{"B: 2", "A: 1"}, removed: []string{"A: 1"}, changed: "A: 1"},
	} {
		removed, changed := difference(tt.sent, tt.got)
		if !slices.Equal(removed, tt.removed) || changed != tt.changed {
			t.Errorf("%s: removed %q, changed %q; want %q, %q", tt.name, removed, changed, tt.removed, tt.changed)
		}
	}
}

func TestFields(t *testing.T) {
	got := fields([]byte("A: 1\r\n\t2\r\n \r\nB:\r\nA: 3\r\n"))
	if want := []string{"A: 1\r\n\t2\r\n \r\n", "B:\r\n", "A: 3\r\n"}; !slices.Equal(got, want) {
		t.Errorf("fields: %q, want %q", got, want)
	}
}

// TestSignaturesRepeat checks that signatures are the same in every run, since
// the expected results contain their header.b.
func TestSignaturesRepeat(t *testing.T) {
	const dir, keys = "../testdata/scenarios", "../testdata/keys"
	first, second := Load(t, dir, keys), Load(t, dir, keys)
	for i, s := range first {
		if string(s.Message.Data) != string(second[i].Message.Data) {
			t.Errorf("%s: signatures differ between runs", s.Name)
		}
	}
}
