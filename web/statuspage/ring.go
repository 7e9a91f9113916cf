package statuspage

import "time"

// ring holds what was counted in each of the last slots of time. The newest slot is
// the current one. Slot number n of width w covers the time from n*w to (n+1)*w
// after the Unix epoch.
type ring[T any] struct {
	width time.Duration
	slots []T
	// newest is the number of the newest slot; meaningless until used is true.
	newest int64
	used   bool
}

func newRing[T any](width time.Duration, slots int) ring[T] {
	return ring[T]{width: width, slots: make([]T, slots)}
}

// number returns the number of the slot that t is in.
func (r *ring[T]) number(t time.Time) int64 {
	n, w := t.UnixNano(), int64(r.width)
	if n < 0 {
		return (n+1)/w - 1
	}
	return n / w
}

// slot returns slot number n, which must be one that the ring still holds.
func (r *ring[T]) slot(n int64) *T {
	k := int64(len(r.slots))
	return &r.slots[(n%k+k)%k]
}

// at returns the slot to count in at time now, and forgets slots that are too old.
//
// now may be earlier than before. If it is in the slot before the newest, the
// newest is used anyway: several goroutines read the clock, and the last one to
// count need not be the last one that read it. If it is earlier than that, the
// clock was set back: slots that now lie in the future are forgotten, so that
// nothing is counted twice.
func (r *ring[T]) at(now time.Time) *T {
	r.advance(now)
	return r.slot(r.newest)
}

func (r *ring[T]) advance(now time.Time) {
	n, k := r.number(now), int64(len(r.slots))
	switch {
	case !r.used || n >= r.newest+k || n <= r.newest-k:
		clear(r.slots)
		r.newest, r.used = n, true
	case n > r.newest:
		for i := r.newest + 1; i <= n; i++ {
			r.clear(i)
		}
		r.newest = n
	case n < r.newest-1:
		for i := n + 1; i <= r.newest; i++ {
			r.clear(i)
		}
		r.newest = n
	}
}

func (r *ring[T]) clear(n int64) {
	var zero T
	*r.slot(n) = zero
}

// series is a copy of the slots of a ring, oldest first.
type series[T any] struct {
	width time.Duration
	begin time.Time // of the oldest slot
	slots []T
}

// series returns what the ring holds at time now.
func (r *ring[T]) series(now time.Time) series[T] {
	r.advance(now)
	oldest := r.newest - int64(len(r.slots)) + 1
	s := series[T]{
		width: r.width,
		begin: time.Unix(0, oldest*int64(r.width)).In(now.Location()),
		slots: make([]T, 0, len(r.slots)),
	}
	for n := oldest; n <= r.newest; n++ {
		s.slots = append(s.slots, *r.slot(n))
	}
	return s
}

// start returns the start of slot i of s.
func (s *series[T]) start(i int) time.Time { return s.begin.Add(time.Duration(i) * s.width) }
