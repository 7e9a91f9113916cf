package statuspage

import (
	"slices"
	"testing"
	"time"
)

// TestBucketsCoverEverything holds that there is no gap between buckets, and that
// none is wider than an eighth of its lower end.
func TestBucketsCoverEverything(t *testing.T) {
	begin := 64 * time.Microsecond
	for i := range buckets {
		end := bucketEnd(i)
		if got := bucketOf(begin); got != i {
			t.Errorf("%v is in bucket %d, not %d", begin, got, i)
		}
		if got := bucketOf(end - time.Nanosecond); got != i {
			t.Errorf("%v is in bucket %d, not %d", end-time.Nanosecond, got, i)
		}
		if end-begin > begin/8 {
			t.Errorf("bucket %d from %v to %v is too wide", i, begin, end)
		}
		begin = end
	}
	for _, test := range []struct {
		d    time.Duration
		want int
	}{
		{-time.Hour, 0}, {0, 0}, {time.Nanosecond, 0}, {63 * time.Microsecond, 0},
		{begin, buckets - 1}, {time.Hour, buckets - 1}, {1<<63 - 1, buckets - 1},
	} {
		if got := bucketOf(test.d); got != test.want {
			t.Errorf("%v is in bucket %d, want %d", test.d, got, test.want)
		}
	}
}

// TestQuantile compares quantiles with exact ones from the sorted durations.
func TestQuantile(t *testing.T) {
	if _, ok := new(histogram).quantile(0.5, 0); ok {
		t.Error("there is a quantile of nothing")
	}
	rnd := newRand()
	for _, n := range []int{1, 2, 3, 10, 99, 100, 101, 5000} {
		var h histogram
		var all []time.Duration
		for range n {
			d := time.Duration(100+rnd.ExpFloat64()*20000) * time.Microsecond
			h.add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95, 0.99, 1} {
			rank := 0
			for float64(rank) < q*float64(n)-1e-9 {
				rank++
			}
			want := all[rank-1]
			got, ok := h.quantile(q, all[n-1])
			if !ok || got < want || got > want+want/8 {
				t.Errorf("%v of %d: %v, want %v or an eighth more", q, n, got, want)
			}
		}
	}
	var h histogram
	h.add(3 * time.Hour)
	if got, _ := h.quantile(0.5, 3*time.Hour); got != 3*time.Hour {
		t.Errorf("%v beyond the last bucket", got)
	}
}
