// Package ascii classifies octets for the parsers of this project. The grammars of
// mail are defined in ASCII: an octet outside it is never a letter or a digit here,
// whatever character it is part of.
package ascii

// IsDigit reports whether c is a decimal digit.
func IsDigit(c byte) bool { return '0' <= c && c <= '9' }

// IsLetter reports whether c is a letter, in either case.
func IsLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// Lower returns c in lower case if it is a letter, otherwise c itself.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Hex returns the value of a hexadecimal digit in either case, or -1 if c is not
// one.
func Hex(c byte) int {
	switch {
	case IsDigit(c):
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// Is reports whether all octets of s are ASCII.
func Is(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
