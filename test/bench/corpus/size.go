package corpus

import "math"

// Bounds of the sizes of bodies.
const (
	leastBody    = 2 << 10
	greatestBody = 1 << 20
)

// sigma is the spread of the log-normal distribution of sizes. With it, half of
// the messages are below 12 KiB and one in a hundred is above 300 KiB.
const sigma = 1.4

// bodySizes returns the size of each body, ascending: the quantiles of a
// log-normal distribution whose mean, within the bounds, is MeanBytes.
func bodySizes(o Options) []int {
	sizes := make([]int, o.Messages)
	if o.FixedBytes > 0 {
		for i := range sizes {
			sizes[i] = o.FixedBytes
		}
		return sizes
	}
	low, high := math.Log(leastBody/8), math.Log(greatestBody)
	for range 50 {
		mu := (low + high) / 2
		sum := 0
		for i := range sizes {
			p := (float64(i) + 0.5) / float64(len(sizes))
			size := math.Exp(mu + sigma*math.Sqrt2*math.Erfinv(2*p-1))
			sizes[i] = int(min(max(size, leastBody), greatestBody))
			sum += sizes[i]
		}
		if sum/len(sizes) < o.MeanBytes {
			low = mu
		} else {
			high = mu
		}
	}
	return sizes
}
