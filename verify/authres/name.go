package authres

// Named reports whether some reader takes name, that of a header field as it is
// written, for want: in upper or lower case, with white space behind it (RFC 5322
// section 4.5), or with octets in it that are not printable ASCII, which readers
// drop.
func Named(name, want string) bool {
	at := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c <= ' ' || c >= 0x7f:
		case at < len(want) && lower(c) == lower(want[at]):
			at++
		default:
			return false
		}
	}
	return at == len(want)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
