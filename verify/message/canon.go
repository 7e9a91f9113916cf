package message

// Canon is a canonicalization algorithm (RFC 6376 section 3.4).
type Canon uint8

const (
	Simple Canon = iota
	Relaxed
)

// String returns the name used in a c= tag.
func (c Canon) String() string {
	if c == Relaxed {
		return "relaxed"
	}
	return "simple"
}
