package statuspage

import (
	"fmt"
	"strconv"
	"strings"
)

// Charts are drawn in units of their own, which the page stretches to the available
// width: ten units for each slot of time, and a hundred units high. The labels are
// outside the drawing, so that they are not stretched.
const (
	chartHeight = 100
	slotWidth   = 10
	barWidth    = 8
	chartLabels = 4 // labels of time, each at the start of a quarter of the chart
)

// chart is a bar chart over time.
type chart struct {
	Title, Summary string
	Width, Height  int
	Middle         int
	BarWidth       int
	Series         []chartSeries
	Slots          []chartSlot
	Legend         bool     // show the names of the kinds above the chart
	Top, Half      string   // the values at the top and middle lines
	Labels         []string // labels of time
}

// chartSeries holds the bars of one kind.
type chartSeries struct{ Name, Class, Path string }

// chartSlot is the area of one slot of time, with its tooltip.
type chartSlot struct {
	X   int
	Tip string
}

// kind is one kind of bar. The bars of a slot are stacked, the first kind at the
// bottom.
type kind struct{ name, class string }

// plot is the data of a chart.
type plot struct {
	title, unit string // unit names what is counted, such as "messages"
	kinds       []kind
	values      [][]uint64       // by slot and kind
	clock       func(int) string // formats the start of a slot
}

// draw draws p.
func (p *plot) draw() chart {
	var highest, all uint64
	totals := make([]uint64, len(p.kinds))
	for _, slot := range p.values {
		var sum uint64
		for i, n := range slot {
			sum += n
			totals[i] += n
		}
		highest = max(highest, sum)
		all += sum
	}
	top := niceTop(highest)
	c := chart{
		Title:    p.title,
		Summary:  fmt.Sprintf("%s: %s %s, peak %s%s", p.title, grouped(all), p.unit, grouped(highest), p.parts(totals)),
		Width:    len(p.values) * slotWidth,
		Height:   chartHeight,
		Middle:   chartHeight / 2,
		BarWidth: slotWidth,
		Top:      grouped(top),
		Half:     grouped(top / 2),
	}
	paths := make([]strings.Builder, len(p.kinds))
	for i, slot := range p.values {
		var below, sum uint64
		for k, n := range slot {
			if n > 0 {
				bar(&paths[k], i, below, n, top)
			}
			below += n
			sum += n
		}
		c.Slots = append(c.Slots, chartSlot{
			X:   i * slotWidth,
			Tip: fmt.Sprintf("%s: %s %s%s", p.clock(i), grouped(sum), p.unit, p.parts(slot)),
		})
	}
	for k, kind := range p.kinds {
		c.Series = append(c.Series, chartSeries{Name: kind.name, Class: kind.class, Path: paths[k].String()})
	}
	for i := range chartLabels {
		c.Labels = append(c.Labels, p.clock(i*len(p.values)/chartLabels))
	}
	return c
}

// parts lists the kinds that are not 0, in parentheses.
func (p *plot) parts(values []uint64) string {
	var b strings.Builder
	for i, n := range values {
		if n == 0 {
			continue
		}
		if b.Len() == 0 {
			b.WriteString(" (")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(p.kinds[i].name + " " + grouped(n))
	}
	if b.Len() > 0 {
		b.WriteByte(')')
	}
	return b.String()
}

// bar adds a bar of n units in slot i, on top of below units.
func bar(b *strings.Builder, i int, below, n, top uint64) {
	height := func(n uint64) float64 { return float64(n) / float64(top) * chartHeight }
	b.WriteString("M" + strconv.Itoa(i*slotWidth+(slotWidth-barWidth)/2))
	b.WriteString(" " + decimal(chartHeight-height(below)))
	b.WriteString("v-" + decimal(height(n)))
	b.WriteString("h" + strconv.Itoa(barWidth))
	b.WriteString("v" + decimal(height(n)) + "z")
}

// decimal formats a coordinate.
func decimal(f float64) string {
	s := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// niceTop returns a round, even number that is at least highest.
func niceTop(highest uint64) uint64 {
	for unit := uint64(1); ; unit *= 10 {
		for _, n := range []uint64{2, 4, 6, 8, 10} {
			if n*unit >= highest || unit >= 1e17 {
				return n * unit
			}
		}
	}
}

// share is one part of a bar that shows the composition of a whole. X and Width are
// percentages.
type share struct {
	Class    string
	X, Width string
}

// shares returns a bar with one part for each tone that is not 0.
func shares(byTone map[tone]uint64) []share {
	var all, before uint64
	for _, n := range byTone {
		all += n
	}
	var bar []share
	for _, t := range tones() {
		n := byTone[t]
		if n == 0 {
			continue
		}
		at := func(n uint64) float64 { return float64(n) / float64(all) * 100 }
		bar = append(bar, share{Class: string(t), X: decimal(at(before)), Width: decimal(at(n))})
		before += n
	}
	return bar
}
