// Package domain handles domain names as mail uses them: conversion of
// internationalized names to A-labels, validation, and the parent relation.
//
// Unless a comment says otherwise, a name in this code base is the output of
// [ToASCII]: lower-case A-labels without a trailing dot.
package domain

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"authmilter/verify/ascii"
)

// MaxLength is the longest domain name in octets, in text form without a
// trailing dot (RFC 1035 section 2.3.4 allows 255 octets on the wire).
const MaxLength = 253

// maxLabel is the longest label in octets (RFC 1035 section 2.3.4).
const maxLabel = 63

// ErrInvalid is returned for text that is not a domain name.
var ErrInvalid = errors.New("not a valid domain name")

// profile maps names as browsers and mail user agents do (UTS #46,
// non-transitional), but leaves checking ASCII characters to valid, because names
// in mail authentication contain underscores ("_domainkey", "_dmarc", "_spf").
var profile = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.StrictDomainName(false),
)

// ToASCII returns name as lower-case A-labels without a trailing dot
// (RFC 5890 section 2.3.2.1). It accepts letters, digits, hyphens,
// underscores, dots and U-labels, and returns an error wrapping [ErrInvalid]
// for everything else: an empty name or label, a label over 63 octets, a name
// over [MaxLength] octets.
func ToASCII(name string) (string, error) {
	// UTS #46 mapping may shrink text, but a character has at most four octets.
	if len(name) > 4*MaxLength {
		return "", ErrInvalid
	}
	if !ascii.Is(name) {
		if !utf8.ValidString(name) || hasLongLabel(name) {
			return "", ErrInvalid
		}
		var err error
		if name, err = profile.ToASCII(name); err != nil {
			return "", ErrInvalid
		}
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !valid(name) {
		return "", ErrInvalid
	}
	return name, nil
}

// hasLongLabel reports whether some label has more characters than an A-label may
// have octets. Such a label would be refused in the end, but only after Punycode
// has taken quadratic time.
func hasLongLabel(name string) bool {
	n := 0
	for _, r := range name {
		switch r {
		case '.', '\u3002', '\uff0e', '\uff61': // the dots in RFC 3490 section 3.1
			n = 0
		default:
			if n++; n > maxLabel {
				return true
			}
		}
	}
	return false
}

// valid reports whether name consists of one or more non-empty labels of letters,
// digits, hyphens and underscores, within the length limits.
func valid(name string) bool {
	if name == "" || len(name) > MaxLength {
		return false
	}
	label := 0
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', 'A' <= c && c <= 'Z':
			if label++; label > maxLabel {
				return false
			}
		default:
			return false
		}
	}
	return label > 0
}

// IsSubdomain reports whether name equals parent or is below it. Both must be
// outputs of [ToASCII].
func IsSubdomain(name, parent string) bool {
	rest, ok := strings.CutSuffix(name, parent)
	return ok && parent != "" && (rest == "" || rest[len(rest)-1] == '.')
}

// Parent returns name without its first label, or "" if name is a single label.
func Parent(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return parent
}

// Labels returns the number of labels in name.
func Labels(name string) int {
	if name == "" {
		return 0
	}
	return strings.Count(name, ".") + 1
}
