package corpus

import (
	"encoding/base64"
	"math/rand/v2"
	"strings"
)

var words = strings.Fields(`the of and to in a is that for it as was with be by on not he his but at are this have
from or had an they which one you were all her she there would their we him been has when who will no more if out so
up said what its about than into them can only other time new some could these two may first then do any like my now
over such our man me even most made after also did many before must through years where much your way well down should
because each just those people how too little state good very make world still see own men work long here get both
between life being under never day same another know while last might us great old year off come since against go
came right used take three invoice order account meeting schedule delivery update newsletter offer conference`)

// kind is what a body consists of.
type kind int

const (
	plainText kind = iota
	html
	attachment // text, and base64 below it
)

// largeBody is the size from which bodies have attachments.
const largeBody = 48 << 10

func kindOf(size int, r *rand.Rand) kind {
	switch {
	case size >= largeBody:
		return attachment
	case r.IntN(3) > 0:
		return html
	}
	return plainText
}

// body returns a body of about size octets, with lines typical of its kind.
func body(size int, k kind, r *rand.Rand) []byte {
	var b strings.Builder
	b.Grow(size + 1<<10)
	switch k {
	case plainText:
		paragraphs(&b, size, r)
	case html:
		markup(&b, size, r)
	case attachment:
		b.WriteString("--=_part\r\nContent-Type: text/html; charset=utf-8\r\n\r\n")
		markup(&b, size/8, r)
		b.WriteString("--=_part\r\nContent-Type: application/pdf; name=\"document.pdf\"\r\n" +
			"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n")
		octets(&b, size, r)
		b.WriteString("--=_part--\r\n")
	}
	return []byte(b.String())
}

// paragraphs writes text folded at 72 octets until b holds size octets. Some
// lines end in white space, as flowed text does.
func paragraphs(b *strings.Builder, size int, r *rand.Rand) {
	for b.Len() < size {
		line := 0
		for range 40 + r.IntN(120) {
			w := words[r.IntN(len(words))]
			switch {
			case line == 0:
			case line+1+len(w) > 72:
				if r.IntN(8) == 0 {
					b.WriteByte(' ')
				}
				b.WriteString("\r\n")
				line = 0
			default:
				b.WriteByte(' ')
				line++
			}
			b.WriteString(w)
			line += len(w)
		}
		b.WriteString(".\r\n\r\n")
	}
}

// markup writes HTML, indented as in newsletters, until b holds size octets.
func markup(b *strings.Builder, size int, r *rand.Rand) {
	b.WriteString("<html>\r\n<body>\r\n")
	for b.Len() < size {
		indent := strings.Repeat("  ", 1+r.IntN(8))
		b.WriteString(indent + "<td class=\"cell\" style=\"padding: 0 12px;\tfont-family: Arial, sans-serif\">\r\n")
		for range 1 + r.IntN(4) {
			b.WriteString(indent)
			for range 6 + r.IntN(30) {
				b.WriteByte(' ')
				b.WriteString(words[r.IntN(len(words))])
			}
			b.WriteString("<br>\r\n")
		}
		b.WriteString(indent + "</td>\r\n")
	}
	b.WriteString("</body>\r\n</html>\r\n")
}

// octets writes base64 in lines of 76 octets until b holds size octets.
func octets(b *strings.Builder, size int, r *rand.Rand) {
	var raw [57]byte
	var line [76]byte
	for b.Len() < size {
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		base64.StdEncoding.Encode(line[:], raw[:])
		b.Write(line[:])
		b.WriteString("\r\n")
	}
}
