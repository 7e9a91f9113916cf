package statuspage

import (
	"slices"
	"testing"
	"time"
)

// TestRing counts one event at each of the given times and checks the slots at the
// last one. The ring has five slots of a minute; times are seconds after the start
// of an hour.
func TestRing(t *testing.T) {
	for _, test := range []struct {
		name  string
		times []int
		want  []int // oldest slot first
	}{
		{"one", []int{0}, []int{0, 0, 0, 0, 1}},
		{"same minute", []int{0, 30, 59}, []int{0, 0, 0, 0, 3}},
		{"next minute", []int{59, 60}, []int{0, 0, 0, 1, 1}},
		{"each minute", []int{0, 60, 120, 180, 240}, []int{1, 1, 1, 1, 1}},
		{"the oldest goes", []int{0, 60, 120, 180, 240, 300}, []int{1, 1, 1, 1, 1}},
		{"gap", []int{0, 0, 180}, []int{0, 2, 0, 0, 1}},
		{"gap as long as the ring but one", []int{0, 240}, []int{1, 0, 0, 0, 1}},
		{"gap as long as the ring", []int{0, 300}, []int{0, 0, 0, 0, 1}},
		{"gap of days", []int{0, 60, 3 * 86400}, []int{0, 0, 0, 0, 1}},
		{"many times round", []int{0, 299, 601, 660, 721, 899, 960}, []int{1, 0, 1, 0, 1}},
		{"back within the minute", []int{30, 10}, []int{0, 0, 0, 0, 2}},
		{"back by less than a slot", []int{0, 60, 59}, []int{0, 0, 0, 1, 2}},
		{"back and on again", []int{60, 59, 61, 120}, []int{0, 0, 0, 3, 1}},
		{"back by more", []int{0, 60, 120, 180, 10}, []int{0, 0, 0, 0, 2}},
		{"back by more, then on", []int{0, 60, 120, 180, 10, 60}, []int{0, 0, 0, 2, 1}},
		{"back by more than the ring", []int{600, 660, 0}, []int{0, 0, 0, 0, 1}},
		{"back by days", []int{86400 * 5, 0, 60}, []int{0, 0, 0, 1, 1}},
		{"far ahead and back", []int{0, 86400 * 365, 60}, []int{0, 0, 0, 0, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRing[int](time.Minute, 5)
			hour := time.Date(2026, 3, 10, 14, 0, 0, 0, time.UTC)
			var now time.Time
			for _, s := range test.times {
				now = hour.Add(time.Duration(s) * time.Second)
				*r.at(now)++
			}
			s := r.series(now)
			if !slices.Equal(s.slots, test.want) {
				t.Errorf("%v, want %v", s.slots, test.want)
			}
			if last := s.start(len(s.slots) - 1); last.After(now.Add(time.Minute)) || now.Sub(last) >= time.Minute {
				t.Errorf("the newest slot begins at %v, now is %v", last, now)
			}
		})
	}
}

// TestRingForgetsWithoutEvents holds that slots expire when nothing more is counted.
func TestRingForgetsWithoutEvents(t *testing.T) {
	r := newRing[int](15*time.Minute, 4)
	now := time.Date(2026, 3, 10, 23, 59, 59, 0, time.UTC)
	*r.at(now) = 7
	for i, want := range [][]int{{0, 0, 0, 7}, {0, 0, 7, 0}, {0, 7, 0, 0}, {7, 0, 0, 0}, {0, 0, 0, 0}} {
		s := r.series(now.Add(time.Duration(i) * 15 * time.Minute))
		if !slices.Equal(s.slots, want) {
			t.Errorf("after %d quarters: %v, want %v", i, s.slots, want)
		}
	}
}

// TestRingBeforeTheEpoch holds that times before 1970 work.
func TestRingBeforeTheEpoch(t *testing.T) {
	r := newRing[int](time.Minute, 3)
	epoch := time.Unix(0, 0).UTC()
	for _, s := range []int{-121, -61, -60, -1, 0, 1} {
		*r.at(epoch.Add(time.Duration(s) * time.Second))++
	}
	s := r.series(epoch)
	if want := []int{1, 2, 2}; !slices.Equal(s.slots, want) {
		t.Errorf("%v, want %v", s.slots, want)
	}
	if got := s.start(1); !got.Equal(epoch.Add(-time.Minute)) {
		t.Errorf("the second slot begins at %v", got)
	}
}

// TestRingAgainstModel compares a ring with a list of all events.
func TestRingAgainstModel(t *testing.T) {
	rnd := newRand()
	for range 200 {
		const slots = 7
		r := newRing[int](time.Minute, slots)
		now := time.Date(2026, 3, 10, 14, 0, 0, 0, time.UTC)
		model := map[int64]int{} // by minute
		for range 60 {
			now = now.Add(time.Duration(rnd.IntN(150)) * time.Second)
			*r.at(now)++
			model[now.Unix()/60]++
			s := r.series(now)
			for i, got := range s.slots {
				if want := model[now.Unix()/60-int64(slots-1-i)]; got != want {
					t.Fatalf("slot %d: %d, want %d", i, got, want)
				}
			}
		}
	}
}
