package arc

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// Sealer adds sets for one domain.
type Sealer struct {
	// Domain and Selector say where the key is published.
	Domain, Selector string
	Key              *dkim.PrivateKey
}

// SealInput is a message at its end.
type SealInput struct {
	Header message.Header
	Index  *message.Index
	// BodyHash is the [SealDigest] of the body.
	BodyHash []byte
	// Chain is what became of the chain that the message had.
	Chain *Result
	// AuthservID and Results are what the ARC-Authentication-Results field says.
	AuthservID string
	Results    []authres.Method
	At         time.Time
}

// SealDigest returns the digest of the body that a [Sealer] signs.
func SealDigest() message.Digest {
	return message.Digest{Canon: message.Relaxed, Hash: crypto.SHA256, Length: message.WholeBody}
}

// Reasons not to seal a message.
var (
	// ErrBroken: the chain has been marked as failed before
	// (RFC 8617 section 5.1 step 2).
	ErrBroken = errors.New("the chain was marked as failed before")
	// ErrFull: the chain has as many sets as it may (RFC 8617 section 4.2.1).
	ErrFull = errors.New("the chain has 50 sets already")
	// ErrOwn: the newest set is ours and nothing has changed since.
	ErrOwn = errors.New("the newest set is our own")
	// ErrUnknown: it could not be found out now whether the chain is valid. A
	// failure in writing is for ever (RFC 8617 section 5.2.1), while without a
	// set of ours the chain is as good as it was.
	ErrUnknown = errors.New("the chain could not be verified now")
	// ErrTooManyFields: a field that a message has once is there too often to be
	// signed.
	ErrTooManyFields = errors.New("too many fields of one name to sign")
)

// Seal returns the fields of the next set, in the order in which they are put on
// top of the message: the last one comes to stand highest. An error is, but for
// that of the key, one of the reasons above.
func (s *Sealer) Seal(in *SealInput) ([]message.Field, error) {
	instance, err := s.next(in.Chain)
	if err != nil {
		return nil, err
	}
	names, err := signedNames(in.Header, in.Index)
	if err != nil {
		return nil, err
	}
	results := message.Field{
		Name: "ARC-Authentication-Results",
		Raw:  " " + authres.FormatARC(instance, in.AuthservID, in.Results),
	}
	signature, err := s.signMessage(in, instance, names)
	if err != nil {
		return nil, err
	}
	seal, err := s.seal(in, instance, results, signature)
	if err != nil {
		return nil, err
	}
	return []message.Field{results, signature, seal}, nil
}

// Made returns the newest set of a message where s has made it, otherwise nil:
// where the seal names his domain and verifies with his key. Nothing is looked
// up, and the rest of the chain is not verified.
func (s *Sealer) Made(h message.Header) *Set {
	newest, digest := newestSet(h)
	if newest == nil || newest.Seal.Domain != s.Domain || newest.Seal.Selector != s.Selector {
		return nil
	}
	_, policy, err := dkim.Options{}.VerifyDigest(newest.Seal.Signature, []*dkim.Key{s.Key.Public()}, digest)
	if err != nil || policy != nil {
		return nil
	}
	return newest
}

// newestSet returns the newest set of h and what its seal signs; nil where the
// set, or the chain that it covers, is malformed.
func newestSet(h message.Header) (*Set, []byte) {
	c, sets, _ := collect(h)
	if c == nil || !c.Broken {
		c, err := readChain(h)
		if err != nil || c == nil {
			return nil, nil
		}
		digests := sealDigests(h, c)
		return c.Newest(), digests[len(digests)-1]
	}
	// A set that marks a chain as failed covers itself only
	// (RFC 8617 section 5.1.2), whatever is below it.
	newest := &sets[c.Highest]
	if newest.missing() != "" {
		return nil, nil
	}
	set, err := newest.read(h, c.Highest, Fail)
	if err != nil {
		return nil, nil
	}
	digests := sealDigests(h, &Chain{Sets: []Set{set}})
	return &set, digests[0]
}

// next returns the instance of the set after those of a chain
// (RFC 8617 section 5.1).
func (s *Sealer) next(r *Result) (int, error) {
	c := r.Chain
	switch {
	case c == nil:
		return 1, nil
	case c.Broken:
		return 0, ErrBroken
	case r.Status == Fail && r.Reason == ReasonDNS:
		return 0, ErrUnknown
	case r.Status == Pass && c.Newest().Seal.Domain == s.Domain:
		return 0, ErrOwn
	case c.Highest >= MaxSets || r.Reason == ReasonTooMany:
		return 0, ErrFull
	}
	return c.Highest + 1, nil
}

// signMessage returns the ARC-Message-Signature field.
func (s *Sealer) signMessage(in *SealInput, instance int, names []string) (message.Field, error) {
	w := newTagWriter("ARC-Message-Signature")
	w.tag("i", strconv.Itoa(instance))
	w.tag("a", s.Key.Algorithm())
	w.tag("c", "relaxed/relaxed")
	w.tag("d", s.Domain)
	w.tag("s", s.Selector)
	w.tag("t", strconv.FormatInt(in.At.Unix(), 10))
	w.list("h", names)
	w.base64("bh", in.BodyHash)
	digest := dkim.DigestHeader(crypto.SHA256, message.Relaxed, in.Header, in.Index.Select(names), w.unsigned())
	return w.sign(s.Key, digest)
}

// seal returns the ARC-Seal field.
func (s *Sealer) seal(in *SealInput, instance int, results, signature message.Field) (message.Field, error) {
	w := newTagWriter("ARC-Seal")
	w.tag("i", strconv.Itoa(instance))
	w.tag("a", s.Key.Algorithm())
	w.tag("t", strconv.FormatInt(in.At.Unix(), 10))
	w.tag("cv", string(in.Chain.Status))
	w.tag("d", s.Domain)
	w.tag("s", s.Selector)
	d := newSealDigest()
	// RFC 8617 section 5.1.2: over a failed chain the seal covers its own set
	// only.
	if in.Chain.Status == Pass {
		for i := range in.Chain.Chain.Sets {
			set := &in.Chain.Chain.Sets[i]
			d.add(in.Header[set.authResults])
			d.add(in.Header[set.messageSignature])
			d.add(in.Header[set.seal])
		}
	}
	d.add(results)
	d.add(signature)
	return w.sign(s.Key, d.sum(w.unsigned()))
}

// oversigned are the fields of which a message has one at most and that say who
// it is from and what it is: each is signed once more than it is there, so that
// none can be added (RFC 6376 section 8.15).
var oversigned = []string{"From", "To", "Subject", "Date", "Message-ID"}

// added are those of them that an MTA may add on its way where they are missing:
// then they are not signed.
var added = []string{"Date", "Message-ID"}

// signed are further fields that say what a message is
// (RFC 6376 section 5.4.1), and the signatures that vouch for it
// (RFC 8617 section 4.1.2). Never among them are Authentication-Results and the
// fields of a chain (section 4.1.2), nor those that are added or changed on the
// way.
var signed = []string{
	"Cc", "Reply-To", "Sender", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
	"Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
	"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
	"DKIM-Signature",
}

// maxSigned bounds how many fields of one name are signed.
const maxSigned = 20

// signedNames returns the h= tag of a message signature.
func signedNames(h message.Header, index *message.Index) ([]string, error) {
	var names []string
	for _, name := range oversigned {
		n := count(index, name)
		if n > maxSigned {
			return nil, ErrTooManyFields
		}
		if n == 0 && slices.Contains(added, name) {
			continue
		}
		for range n + 1 {
			names = append(names, name)
		}
	}
	for _, name := range signed {
		for range min(count(index, name), maxSigned) {
			names = append(names, name)
		}
	}
	return names, nil
}

// count returns how many fields called name there are.
func count(index *message.Index, name string) int {
	n := 0
	for i := index.Last(name); i >= 0; i = index.Above(i) {
		n++
	}
	return n
}

const (
	// foldAt is the line length that folding aims at (RFC 5322 section 2.1.1).
	foldAt = 78
	// tabWidth is what the TAB after a fold counts for in that.
	tabWidth = 8
	fold     = "\r\n\t"
)

// tagWriter writes a tag list, folded.
type tagWriter struct {
	name   string
	b      strings.Builder
	column int
}

func newTagWriter(name string) *tagWriter {
	return &tagWriter{name: name, column: len(name) + len(":")}
}

// begin puts a space, or a fold where n octets more would be too many.
func (w *tagWriter) begin(n int) {
	if w.column+len(" ")+n > foldAt {
		w.b.WriteString(fold)
		w.column = tabWidth
		return
	}
	w.b.WriteByte(' ')
	w.column++
}

func (w *tagWriter) text(s string) {
	w.b.WriteString(s)
	w.column += len(s)
}

// tag writes a tag that is not broken.
func (w *tagWriter) tag(name, value string) {
	s := name + "=" + value + ";"
	w.begin(len(s))
	w.text(s)
}

// list writes a list with colons, which is broken after them.
func (w *tagWriter) list(name string, items []string) {
	for i, item := range items {
		s := item + ":"
		switch i {
		case len(items) - 1:
			s = item + ";"
		}
		if i == 0 {
			s = name + "=" + s
			w.begin(len(s))
		} else if w.column+len(s) > foldAt {
			w.b.WriteString(fold)
			w.column = tabWidth
		}
		w.text(s)
	}
}

// base64 writes binary data, which fits on a line.
func (w *tagWriter) base64(name string, data []byte) {
	w.tag(name, base64.StdEncoding.EncodeToString(data))
}

// unsigned ends the list with an empty b= tag.
func (w *tagWriter) unsigned() message.Field {
	w.b.WriteString(fold + "b=")
	w.column = tabWidth + len("b=")
	return message.Field{Name: w.name, Raw: w.b.String()}
}

// sign fills the empty b= tag, which is the end of the list.
func (w *tagWriter) sign(key *dkim.PrivateKey, digest []byte) (message.Field, error) {
	value, err := key.SignDigest(digest)
	if err != nil {
		return message.Field{}, fmt.Errorf("%s: %w", w.name, err)
	}
	for text := base64.StdEncoding.EncodeToString(value); text != ""; {
		n := min(len(text), foldAt-w.column)
		w.text(text[:n])
		if text = text[n:]; text != "" {
			w.b.WriteString(fold)
			w.column = tabWidth
		}
	}
	return message.Field{Name: w.name, Raw: w.b.String()}, nil
}
