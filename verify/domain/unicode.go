package domain

import (
	"strings"

	"authmilter/verify/ascii"
)

// ToUnicode returns name with its A-labels decoded, in lower case and as
// UTS #46 maps it (RFC 5890 section 2.3.2.1). A label that cannot be decoded
// is left as it is. A label that no registry would allow is still decoded, because
// the result is what a reader may see, valid or not. A name over [MaxLength]
// octets is returned unchanged.
func ToUnicode(name string) string {
	if len(name) > MaxLength {
		return name
	}
	// The error concerns only validity: decoded is complete in any case.
	decoded, _ := profile.ToUnicode(name)
	return decoded
}

// AddressToASCII returns an address or a domain name with the U-labels of its
// domain converted to A-labels. If the domain is not valid, it returns the text
// unchanged.
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
