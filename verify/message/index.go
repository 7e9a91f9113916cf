package message

// Index finds the fields of a header by name, from the bottom up, the order in
// which signatures select them (RFC 6376 section 5.4.2). It is never modified, and
// so is safe for concurrent use.
type Index struct {
	// names numbers the distinct field names, in lower case.
	names map[string]int32
	// last holds, for each number, the position of the lowest field of that name.
	last []int32
	// above holds, for each field, the position of the next field above it with
	// the same name.
	above []int32
}

// none means "no field".
const none = -1

// NewIndex returns an index of h. It takes time linear in the length of the field
// names.
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

// Select returns, for each of names, the position in the header of the field that
// it selects: the lowest field of that name that no earlier name selected, or -1 if
// there is none left. It ignores case and trailing white space. The cost is linear
// in names and in the distinct names in the header.
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

// Last returns the position of the lowest field called name, or -1. Use it with
// [Index.Above] to visit all fields of one name:
//
//	for i := x.Last("received"); i >= 0; i = x.Above(i) {
func (x *Index) Last(name string) int {
	var buf [64]byte
	if n, ok := x.names[string(appendRelaxedName(buf[:0], name))]; ok {
		return int(x.last[n])
	}
	return none
}

// Above returns the position of the next field above field i with the same name,
// or -1.
func (x *Index) Above(i int) int { return int(x.above[i]) }

// Count returns how many fields called name there are.
func (x *Index) Count(name string) int {
	n := 0
	for i := x.Last(name); i >= 0; i = x.Above(i) {
		n++
	}
	return n
}
