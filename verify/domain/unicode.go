package domain

import (
	"strings"

	"authmilter/verify/ascii"
)

// ToUnicode returns name with its A-labels decoded, in lower case and as
// UTS #46 maps it (RFC 5890 section 2.3.2.1). A label that cannot be decoded
// stays as it is; one that no registry would allow is decoded all the same,
// because the result says what a reader may see, not what is valid. A name over
// [MaxLength] octets is returned unchanged.
func ToUnicode(name string) string {
	if len(name) > MaxLength {
		return name
	}
	// The error is about validity; the text is complete without it.
	decoded, _ := profile.ToUnicode(name)
	return decoded
}

// AddressToASCII returns an address, or a domain name, with its domain as
// A-labels if that has U-labels and is valid; otherwise the text as it is.
func AddressToASCII(address string) string {
	at := strings.LastIndexByte(address, '@')
	name := address[at+1:]
	if ascii.Is(name) {
		return address
	}
	ascii, err := ToASCII(name)
	if err != nil {
		return address
	}
	return address[:at+1] + ascii
}
