package dkim

import (
	"crypto"
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"authmilter/verify/ascii"
	"authmilter/verify/domain"
	"authmilter/verify/fault"
	"authmilter/verify/message"
)

// FieldName is the name of the signature field in lower case.
const FieldName = "dkim-signature"

// Bounds of a signature field.
const (
	maxHeaderNames = 1024
	maxSignature   = 16384 / 8 // octets, for the largest key that can be configured
	maxIdentity    = 1024      // octets of an i= tag
	maxLengthDigit = 76        // RFC 6376 section 3.5, tag l=
)

// KeyType is the type of a key, as named in a k= tag.
type KeyType string

// The key types of RFC 6376 section 3.3 and RFC 8463 section 3.
const (
	RSA     KeyType = "rsa"
	Ed25519 KeyType = "ed25519"
)

// Absent is the value of an optional number or time that is missing.
const Absent = -1

// Signature is a DKIM-Signature field (RFC 6376 section 3.5).
type Signature struct {
	// Algorithm is the a= tag in lower case, or "" if it is unknown; KeyType and
	// Hash are its two parts.
	Algorithm string
	KeyType   KeyType
	Hash      crypto.Hash
	// Domain is the d= tag, the signing domain (SDID), and Selector the s= tag,
	// both as lower-case A-labels.
	Domain   string
	Selector string
	// Identity is the i= tag (AUID) as written, without white space; if the tag is
	// absent or invalid, it is "@" and Domain. IdentityDomain is its domain as
	// A-labels. They are "" if neither tag could be read.
	Identity       string
	IdentityDomain string
	// Fields are the names of the h= tag as written, without white space.
	Fields      []string
	HeaderCanon message.Canon
	BodyCanon   message.Canon
	BodyHash    []byte
	// Value is the signature itself, and Text the b= tag without white space.
	Value []byte
	Text  string
	// Length is the l= tag, or Absent; a length that overflows is math.MaxInt64.
	Length int64
	// Time and Expires are the t= and x= tags in seconds since 1970, or Absent.
	Time    int64
	Expires int64

	// unsigned is the field without the value of its b= tag, as it is hashed.
	unsigned message.Field
}

var (
	errSyntax     = fault.New(Neutral, ReasonSyntax, "malformed signature field")
	errVersion    = fault.New(Neutral, ReasonVersion, "unknown signature version")
	errAlgorithm  = fault.New(Neutral, ReasonAlgorithm, "unknown signature algorithm")
	errCanon      = fault.New(Neutral, ReasonCanonicalization, "unknown canonicalization")
	errQuery      = fault.New(Neutral, ReasonQuery, "unknown key query method")
	errFromAbsent = fault.New(PermError, ReasonFromNotSigned, "From field not signed")
	errWeakHash   = fault.New(Policy, ReasonWeakHash, "hash too weak: rsa-sha1")
)

// syntax returns an error about one tag.
func syntax(tag string) *Error {
	return fault.New(Neutral, ReasonSyntax, "malformed signature field: tag "+tag)
}

// ParseSignature parses a DKIM-Signature field. An error is an *[Error]; the
// Signature returned with it holds what could be read, for reports.
func ParseSignature(f message.Field) (*Signature, error) {
	tags, err := ParseTags(f.Raw)
	if err != nil {
		return newSignature(), errSyntax.Because(err)
	}
	// Signer and identity come first, so that they are known whatever error follows.
	s, err := parseSigner(f, tags)
	identityErr := s.parseIdentity(tags)
	if err != nil {
		return s, err
	}
	if v, ok := tags.Get("v"); !ok {
		return s, syntax("v= is missing")
	} else if v != "1" {
		return s, errVersion
	}
	if err := s.parseMessageTags(tags); err != nil {
		return s, err
	}
	if identityErr != nil {
		return s, identityErr
	}
	return s, s.checkHash()
}

// checkHash refuses SHA-1, which must no longer be used for verifying
// (RFC 8301 section 3.1).
func (s *Signature) checkHash() error {
	if s.Hash == crypto.SHA1 {
		return errWeakHash
	}
	return nil
}

// Unsigned returns the field without the value of its b= tag, as it is hashed.
func (s *Signature) Unsigned() message.Field { return s.unsigned }

// ParseSeal parses the ARC-Seal field f, whose tag list is tags. It reads d=, s=,
// a=, b= and t=, the only tags that an ARC-Seal shares with a DKIM-Signature
// (RFC 8617 section 4.1.3).
func ParseSeal(f message.Field, tags Tags) (*Signature, error) {
	s, err := parseSigner(f, tags)
	if err != nil {
		return s, err
	}
	s.IdentityDomain = s.Domain
	if err := s.parseValue(tags); err != nil {
		return s, err
	}
	var ok bool
	if s.Time, ok = number(tags, "t", math.MaxInt); !ok {
		return s, syntax("t=")
	}
	return s, s.checkChain()
}

// ParseMessageSignature parses the ARC-Message-Signature field f, whose tag list is
// tags. It reads what the field shares with a DKIM-Signature: every tag but v= and
// i= (RFC 8617 section 4.1.2).
func ParseMessageSignature(f message.Field, tags Tags) (*Signature, error) {
	s, err := parseSigner(f, tags)
	if err != nil {
		return s, err
	}
	s.IdentityDomain = s.Domain
	if err := s.parseMessageTags(tags); err != nil {
		return s, err
	}
	return s, s.checkChain()
}

// checkChain checks what only a signature in an ARC chain must satisfy, and the
// hash. The unused bits in the last character of b= must be zero, so that no octet
// of it can change unnoticed (RFC 4648 section 3.5). Padding may be missing.
func (s *Signature) checkChain() error {
	if base64.RawStdEncoding.EncodeToString(s.Value) != withoutPadding(s.Text) {
		return syntax("b=")
	}
	return s.checkHash()
}

func newSignature() *Signature {
	return &Signature{Length: Absent, Time: Absent, Expires: Absent}
}

// parseSigner reads d=, s= and the text of b=.
func parseSigner(f message.Field, tags Tags) (*Signature, error) {
	s := newSignature()
	s.unsigned = message.Field{Name: f.Name, Raw: tags.without("b", f.Raw)}
	return s, s.parseNames(tags)
}

func (s *Signature) parseNames(tags Tags) error {
	b, ok := tags.Get("b")
	s.Text = removeFWS(b)
	d, found := tags.Get("d")
	if !found {
		return syntax("d= is missing")
	}
	var err error
	// RFC 6376 section 3.5 requires at least two labels in a domain-name.
	// RFC 8616 section 5 allows U-labels.
	if s.Domain, err = domain.ToASCII(d); err != nil || domain.Labels(s.Domain) < 2 {
		s.Domain = ""
		return syntax("d=")
	}
	selector, found := tags.Get("s")
	if !found {
		return syntax("s= is missing")
	}
	if s.Selector, err = domain.ToASCII(selector); err != nil {
		return syntax("s=")
	}
	if !ok {
		return syntax("b= is missing")
	}
	return nil
}

// parseValue reads a= and b=.
func (s *Signature) parseValue(tags Tags) error {
	if err := s.parseAlgorithm(tags); err != nil {
		return err
	}
	var err error
	if s.Value, err = decodeBase64(s.Text); err != nil || len(s.Value) == 0 || len(s.Value) > maxSignature {
		return syntax("b=")
	}
	return nil
}

// parseMessageTags reads a=, b= and the tags that say which parts of a message are
// signed.
func (s *Signature) parseMessageTags(tags Tags) error {
	if err := s.parseValue(tags); err != nil {
		return err
	}
	var err error
	if c, ok := tags.Get("c"); ok {
		if s.HeaderCanon, s.BodyCanon, err = message.ParseCanon(removeFWS(c)); err != nil {
			return errCanon
		}
	}
	bh, ok := tags.Get("bh")
	if !ok {
		return syntax("bh= is missing")
	}
	if s.BodyHash, err = decodeBase64(bh); err != nil || len(s.BodyHash) != s.Hash.Size() {
		return syntax("bh=")
	}
	if err := s.parseFields(tags); err != nil {
		return err
	}
	if q, ok := tags.Get("q"); ok && !hasQuery(q) {
		return errQuery
	}
	return s.parseNumbers(tags)
}

func (s *Signature) parseAlgorithm(tags Tags) error {
	a, ok := tags.Get("a")
	if !ok {
		return syntax("a= is missing")
	}
	s.Algorithm = strings.ToLower(a)
	switch s.Algorithm {
	case "rsa-sha256":
		s.KeyType, s.Hash = RSA, crypto.SHA256
	case "ed25519-sha256":
		s.KeyType, s.Hash = Ed25519, crypto.SHA256
	case "rsa-sha1":
		s.KeyType, s.Hash = RSA, crypto.SHA1
	default:
		s.Algorithm = ""
		return errAlgorithm
	}
	return nil
}

// parseFields reads the h= tag. It skips empty names (a::b): they occur in real mail
// and select no field, as in other verifiers.
func (s *Signature) parseFields(tags Tags) error {
	h, ok := tags.Get("h")
	if !ok {
		return syntax("h= is missing")
	}
	n := strings.Count(h, ":") + 1
	if n > maxHeaderNames {
		return syntax("h= is too long")
	}
	s.Fields = make([]string, 0, n)
	from := false
	for name := range strings.SplitSeq(h, ":") {
		if name = trimFWS(name); name == "" {
			continue
		}
		if !isFieldName(name) {
			return syntax("h=")
		}
		from = from || strings.EqualFold(name, "from")
		s.Fields = append(s.Fields, name)
	}
	if len(s.Fields) == 0 {
		return syntax("h=")
	}
	// RFC 6376 section 5.4: the From field MUST be signed.
	if !from {
		return errFromAbsent
	}
	return nil
}

// isFieldName reports whether s is a field-name (RFC 5322 section 2.2).
func isFieldName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// hasQuery reports whether a q= tag names dns/txt, the only query method.
func hasQuery(q string) bool {
	for method := range strings.SplitSeq(q, ":") {
		if strings.ToLower(trimFWS(method)) == "dns/txt" {
			return true
		}
	}
	return false
}

func (s *Signature) parseNumbers(tags Tags) error {
	var ok bool
	if s.Length, ok = number(tags, "l", maxLengthDigit); !ok {
		return syntax("l=")
	}
	if s.Time, ok = number(tags, "t", math.MaxInt); !ok {
		return syntax("t=")
	}
	if s.Expires, ok = number(tags, "x", math.MaxInt); !ok {
		return syntax("x=")
	}
	if s.Time != Absent && s.Expires != Absent && s.Expires <= s.Time {
		return syntax("x= is not after t=")
	}
	return nil
}

// number returns the unsigned number in the tag called name, or Absent if there is
// no such tag. A number that overflows is returned as math.MaxInt64.
func number(tags Tags, name string, maxDigits int) (n int64, ok bool) {
	text, ok := tags.Get(name)
	if !ok {
		return Absent, true
	}
	if text == "" || len(text) > maxDigits {
		return Absent, false
	}
	for i := 0; i < len(text); i++ {
		if !ascii.IsDigit(text[i]) {
			return Absent, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	return n, true
}

// parseIdentity reads the i= tag, an address in dkim-quoted-printable whose
// domain is d= or below it (RFC 6376 section 3.5). If d= could not be read, any
// domain will do: the signature fails anyway.
func (s *Signature) parseIdentity(tags Tags) error {
	if s.Domain != "" {
		s.Identity, s.IdentityDomain = "@"+s.Domain, s.Domain
	}
	i, ok := tags.Get("i")
	if !ok {
		return nil
	}
	if i = removeFWS(i); len(i) > maxIdentity {
		return syntax("i=")
	}
	address := decodeQuoted(i)
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return syntax("i=")
	}
	name, err := domain.ToASCII(address[at+1:])
	if err != nil {
		return syntax("i=")
	}
	if s.Domain != "" && !domain.IsSubdomain(name, s.Domain) {
		return syntax("i= is not within d=")
	}
	s.Identity, s.IdentityDomain = i, name
	return nil
}

// decodeQuoted decodes dkim-quoted-printable without white space
// (RFC 6376 section 2.11). An equals sign that does not begin an encoded octet
// stands for itself: some signers do not encode it in the local part, and only the
// domain matters.
func decodeQuoted(s string) string {
	if !strings.Contains(s, "=") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '=' && i+2 < len(s) {
			high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
			if high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// hexDigit returns the value of c, or -1 if it is not a hexadecimal digit in upper
// case (RFC 6376 section 2.11).
func hexDigit(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }

// Digest returns the digest of the body that the signature covers.
func (s *Signature) Digest() message.Digest {
	length := s.Length
	if length == Absent {
		length = message.WholeBody
	}
	return message.Digest{Canon: s.BodyCanon, Hash: s.Hash, Length: length}
}
