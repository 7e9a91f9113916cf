package message

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestIndexSelect(t *testing.T) {
	header := Header{
		{"Received", " 1"}, // 0
		{"From", " 2"},     // 1
		{"received", " 3"}, // 2
		{"FROM ", " 4"},    // 3
		{"To", " 5"},       // 4
		{"", " 6"},         // 5
		{"RECEIVED\t", ""}, // 6
	}
	for _, c := range []struct {
		names string
		want  []int
	}{
		{"", []int{5}},
		{"from", []int{3}},
		{"From:From", []int{3, 1}},
		{"from:FROM:From", []int{3, 1, -1}},
		{"received:from:received:to:received:to", []int{6, 3, 2, 4, 0, -1}},
		{"subject", []int{-1}},
		{"subject:subject:to", []int{-1, -1, 4}},
		{"to ", []int{4}},
		{" to", []int{-1}},
	} {
		x := NewIndex(header)
		for range 2 { // a selection must not affect the next
			if got := x.Select(strings.Split(c.names, ":")); !slices.Equal(got, c.want) {
				t.Errorf("%q: got %v, want %v", c.names, got, c.want)
			}
		}
	}
	if got := NewIndex(header).Select(nil); len(got) != 0 {
		t.Errorf("no names: got %v", got)
	}
	if got := NewIndex(nil).Select([]string{"from"}); !slices.Equal(got, []int{-1}) {
		t.Errorf("no fields: got %v", got)
	}
}

func TestIndexWalk(t *testing.T) {
	x := NewIndex(Header{{"A", ""}, {"B", ""}, {"a", ""}, {"A ", ""}})
	var got []int
	for i := x.Last("A"); i >= 0; i = x.Above(i) {
		got = append(got, i)
	}
	if !slices.Equal(got, []int{3, 2, 0}) {
		t.Errorf("got %v", got)
	}
	if x.Last("c") != -1 {
		t.Errorf("found a field that is not there")
	}
}

// Select agrees with a search that starts again for each name.
func TestIndexAgreesWithSearch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var header Header
		for range rnd.IntN(30) {
			header = append(header, Field{Name: fmt.Sprintf("N%d", rnd.IntN(6))})
		}
		var names []string
		for range rnd.IntN(30) {
			names = append(names, fmt.Sprintf("n%d", rnd.IntN(8)))
		}
		taken := make([]bool, len(header))
		var want []int
		for _, name := range names {
			found := -1
			for i := len(header) - 1; i >= 0 && found < 0; i-- {
				if !taken[i] && header[i].Is(name) {
					taken[i], found = true, i
				}
			}
			want = append(want, found)
		}
		if got := NewIndex(header).Select(names); !slices.Equal(got, want) {
			t.Fatalf("%v from %v: got %v, want %v", names, header, got, want)
		}
	}
}
