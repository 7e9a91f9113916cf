package message

// Index finds the fields of a header by name, from the bottom up, the order in
// which signatures select them (RFC 6376 section 5.4.2). It is read-only once
// made and safe for concurrent use.
type Index struct {
	// names numbers the distinct field names, in lower case.
	names map[string]int32
	// last is, for each number, the lowest field of that name.
	last []int32
	// above is, for each field, the next one above it of the same name.
	above []int32
}

// none stands for "no field".
const none = -1

// NewIndex returns an index of h. It takes time linear in the octets of the
// field names.
func NewIndex(h Header) *Index {
	x := &Index{
		names: make(map[string]int32, len(h)),
		last:  make([]int32, 0, len(h)),
		above: make([]int32, len(h)),
	}
	var buf [64]byte
	for i := range h {
		name := appendRelaxedName(buf[:0], h[i].Name)
		n, ok := x.names[string(name)]
		if !ok {
			n = int32(len(x.last))
			x.names[string(name)] = n
			x.last = append(x.last, none)
		}
		x.above[i] = x.last[n]
		x.last[n] = int32(i)
	}
	return x
}

// Select returns, for each of names, the position in the header of the field
// it selects: the lowest of that name that no earlier one of names selected, or
// -1 where there is none left. Names match in any case; white space at their
// ends does not count. The cost is linear in names and the distinct names of
// the header.
func (x *Index) Select(names []string) []int {
	next := append([]int32(nil), x.last...)
	selected := make([]int, len(names))
	var buf [64]byte
	for i, name := range names {
		selected[i] = none
		n, ok := x.names[string(appendRelaxedName(buf[:0], name))]
		if !ok || next[n] == none {
			continue
		}
		selected[i] = int(next[n])
		next[n] = x.above[next[n]]
	}
	return selected
}

// Last returns the position of the lowest field called name, or -1. With
// [Index.Above] it walks over the fields of one name:
//
//	for i := x.Last("received"); i >= 0; i = x.Above(i) {
func (x *Index) Last(name string) int {
	var buf [64]byte
	if n, ok := x.names[string(appendRelaxedName(buf[:0], name))]; ok {
		return int(x.last[n])
	}
	return none
}

// Above returns the position of the next field above field i that has its
// name, or -1.
func (x *Index) Above(i int) int { return int(x.above[i]) }

// Count returns how many fields called name there are.
func (x *Index) Count(name string) int {
	n := 0
	for i := x.Last(name); i >= 0; i = x.Above(i) {
		n++
	}
	return n
}
