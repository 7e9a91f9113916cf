package statuspage

import (
	"math/bits"
	"time"
)

// Durations are counted in buckets of growing width: each power of two of
// microseconds is split into eight buckets, so no bucket is wider than an eighth of
// the durations in it.
const (
	firstOctave = 6 // everything below 64 us is in the first bucket
	octaves     = 20
	perOctave   = 8
	buckets     = octaves * perOctave // the last one starts at 62.9 s and is open
)

// histogram counts durations.
type histogram [buckets]uint32

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	octave := bits.Len64(us) - 1
	if octave < firstOctave {
		return 0
	}
	eighth := int(us>>(octave-3)) & (perOctave - 1)
	return min((octave-firstOctave)*perOctave+eighth, buckets-1)
}

// bucketEnd returns the upper end of bucket i.
func bucketEnd(i int) time.Duration {
	octave, eighth := i/perOctave+firstOctave, i%perOctave
	return time.Duration(perOctave+eighth+1) << (octave - 3) * time.Microsecond
}

func (h *histogram) add(d time.Duration) { h[bucketOf(d)]++ }

func (h *histogram) sum(o *histogram) {
	for i, n := range o {
		h[i] += n
	}
}

// quantile returns a duration that a share q of the counted ones does not exceed.
// It is too long by at most an eighth. highest is the longest duration counted. ok
// is false if none was.
func (h *histogram) quantile(q float64, highest time.Duration) (d time.Duration, ok bool) {
	var all uint64
	for _, n := range h {
		all += uint64(n)
	}
	if all == 0 {
		return 0, false
	}
	rank := max(uint64(q*float64(all)+0.999999), 1)
	var below uint64
	for i, n := range h {
		if below += uint64(n); below >= rank {
			if i == buckets-1 {
				return highest, true
			}
			return min(bucketEnd(i), highest), true
		}
	}
	return highest, true
}
