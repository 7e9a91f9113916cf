package domain

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// shown is profile for names that are A-labels already. A label of ASCII may
// have hyphens anywhere: the DNS has such names.
var shown = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
)

// OfAddress returns text, the domain of an address that people see, as [ToASCII]
// does, and is stricter: what it returns can be the domain of a mailbox and
// hides nothing from a reader. It refuses, with an error wrapping [ErrInvalid],
//
//   - a single label: it is a top-level domain or a name of the local network,
//     and publishes no policy;
//   - a last label of digits, which is an IP address without its brackets
//     (RFC 1123 section 2.1);
//   - an A-label that is not what its U-label is encoded to
//     (RFC 5890 section 2.3.2.1, RFC 5891 section 5.4): readers that decode it
//     show something else than what is looked up;
//   - a U-label with a character that is [Invisible], in either form;
//   - a U-label with a punctuation mark: a reader may take "\u2044" for a slash, or
//     quotes for something around the name. No registry has them, and IDNA 2008
//     allows none but those of RFC 5892 section 2.6, in their context.
//
// Labels that UTS #46 accepts beyond IDNA 2008, such as those of emoji, are
// accepted: names with them are registered and in use.
func OfAddress(text string) (string, error) {
	name, err := ToASCII(text)
	if err != nil {
		return "", err
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if len(last) == len(name) || strings.Trim(last, "0123456789") == "" {
		return "", ErrInvalid
	}
	if !strings.Contains("."+name, ".xn--") {
		return name, nil
	}
	if again, err := shown.ToASCII(name); err != nil || again != name {
		return "", ErrInvalid
	}
	for label := range strings.SplitSeq(name, ".") {
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		// With the rule for hyphens (RFC 5891 section 4.2.3.1).
		if again, err := profile.ToASCII(label); err != nil || again != label {
			return "", ErrInvalid
		}
	}
	unicodeName, err := shown.ToUnicode(name)
	if err != nil {
		return "", ErrInvalid
	}
	before := rune(0)
	for i, r := range unicodeName {
		// A middle dot stands between two letters l (RFC 5892 appendix A.3).
		// Elsewhere it looks like a full stop.
		if r == '\u00b7' && (before != 'l' || !strings.HasPrefix(unicodeName[i:], "\u00b7l")) {
			return "", ErrInvalid
		}
		before = r
		// Between letters that it joins or parts, a joiner is seen; anywhere else
		// the profile has refused it (RFC 5892 appendix A.1).
		if Invisible(r) && r != '\u200c' && r != '\u200d' || Punctuation(r) {
			return "", ErrInvalid
		}
	}
	return name, nil
}

// blanks are characters that are shown as nothing or as an empty space although
// Unicode calls them letters, symbols or marks.
var blanks = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x2800, Hi: 0x2800, Stride: 1}, // Braille pattern blank
		{Lo: 0x2d7f, Hi: 0x2d7f, Stride: 1}, // Tifinagh consonant joiner
		{Lo: 0xfffc, Hi: 0xfffc, Stride: 1}, // object replacement character
	},
	R32: []unicode.Range32{
		{Lo: 0x1107f, Hi: 0x1107f, Stride: 1}, // Brahmi number joiner
		{Lo: 0x13441, Hi: 0x13442, Stride: 1}, // Egyptian hieroglyph full and half blank
		{Lo: 0x16fe4, Hi: 0x16fe4, Stride: 1}, // Khitan small script filler
		{Lo: 0x1d159, Hi: 0x1d159, Stride: 1}, // musical symbol null notehead
		{Lo: 0xe0000, Hi: 0xe0fff, Stride: 1}, // tags, and what is reserved beside them
	},
}

// names are punctuation marks by Unicode that are in names: those of
// RFC 5892 section 2.6, and two that are emoji.
var names = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00b7, Hi: 0x00b7, Stride: 1}, // middle dot
		{Lo: 0x05f3, Hi: 0x05f4, Stride: 1}, // Hebrew geresh and gershayim
		{Lo: 0x0f0b, Hi: 0x0f0b, Stride: 1}, // Tibetan mark intersyllabic tsheg
		{Lo: 0x3030, Hi: 0x3030, Stride: 1}, // wavy dash
		{Lo: 0x303d, Hi: 0x303d, Stride: 1}, // part alternation mark
		{Lo: 0x30fb, Hi: 0x30fb, Stride: 1}, // katakana middle dot
	},
	LatinOffset: 1,
}

// signs are symbols and marks by Unicode that are shown as slashes, strike out what
// is before them, or are shown as an empty space.
var signs = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x0334, Hi: 0x0338, Stride: 1}, // combining tilde overlay to combining long solidus overlay
		{Lo: 0x2044, Hi: 0x2044, Stride: 1}, // fraction slash
		{Lo: 0x20d2, Hi: 0x20d3, Stride: 1}, // combining vertical line overlays
		{Lo: 0x20e5, Hi: 0x20e6, Stride: 1}, // combining reverse solidus and double stroke overlay
		{Lo: 0x20ea, Hi: 0x20eb, Stride: 1}, // combining arrow and double solidus overlay
		{Lo: 0x2215, Hi: 0x2216, Stride: 1}, // division slash and set minus
		{Lo: 0x2236, Hi: 0x2236, Stride: 1}, // ratio
		{Lo: 0x2400, Hi: 0x2426, Stride: 1}, // control pictures, blank and open box among them
		{Lo: 0x244a, Hi: 0x244a, Stride: 1}, // OCR double backslash
		{Lo: 0x2571, Hi: 0x2573, Stride: 1}, // box drawings, diagonal
		{Lo: 0x27cb, Hi: 0x27cb, Stride: 1}, // mathematical rising diagonal
		{Lo: 0x27cd, Hi: 0x27cd, Stride: 1}, // mathematical falling diagonal
		{Lo: 0x29f5, Hi: 0x29f9, Stride: 1}, // reverse solidus operator to big reverse solidus
	},
}

// Punctuation reports whether r is a punctuation mark beyond ASCII, or a symbol or
// mark shown as one, that is in no domain name.
func Punctuation(r rune) bool {
	return r >= 0x80 && (unicode.In(r, unicode.P) && !unicode.Is(names, r) || unicode.Is(signs, r))
}

// Invisible reports whether readers drop r or show nothing in its place:
// controls, format characters, what Unicode calls default-ignorable (fillers,
// variation selectors, the combining grapheme joiner, tags, reserved code points
// among them), line and paragraph separators, and characters whose glyph is
// empty. White space is seen and is not among them, but for line ends and HTAB,
// which are controls.
func Invisible(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, blanks)
}
