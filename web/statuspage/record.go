package statuspage

import (
	"net/netip"
	"time"
	"unicode/utf8"

	"authmilter/policy"
	"authmilter/verify/dkim"
	"authmilter/verify/spf"
)

// Bounds on what is kept of one message.
const (
	maxMessages   = 100
	maxSignatures = 4   // DKIM results
	maxText       = 128 // octets of one piece of text
)

// record is what is kept of one message. Its texts are cut, but they are cleaned
// only when the page is rendered.
type record struct {
	at         time.Time
	took, wait time.Duration

	skip  uint8 // a position in skips; meaningless if noted
	noted bool  // the record has results

	dkim     [maxSignatures]method
	signed   int // number of signatures with results, including omitted ones
	spf      method
	heloSPF  method
	dmarc    method
	arc      method
	iprev    method
	authors  int  // author domains
	ours     bool // we signed it
	forged   int  // fields removed
	harmless int  // likewise
	sealed   bool
	decision decision

	// What follows is personal data, or may hold it.
	client     netip.Addr
	text       string // holds the spans below
	queueID    span
	clientName span
	helo       span
	mailFrom   span
	author     span
	authorErr  span
	unsealed   span
	signing    span // the domain that we signed for
	unsigned   span // why we did not sign
}

// method is one result.
type method struct {
	used bool
	// status and reason are positions in the method's sets.
	status, reason uint8
	// What follows is personal data, or may hold it.
	domain, selector, text span
}

// decision is what was done with a message and why.
type decision struct {
	disposition, intended uint8 // positions in dispositions
	reason                uint8 // a position in reasons
	override              uint8 // a position in overrides
	hasReason, overridden bool
	replyCode             int
	// What follows is personal data, or may hold it.
	replyStatus, replyText, detail span
}

// span is a part of the text of a record.
type span struct{ from, to uint16 }

// get returns the text of s.
func (r *record) get(s span) string { return r.text[s.from:s.to] }

const (
	// maxTexts is how many texts a record has at most.
	maxTexts = 20 + 3*maxSignatures
	_        = uint16(maxTexts * maxText) // a span can reach all of them
	// usualTexts is how many octets they take together in nearly all messages. Room
	// for the most that they can take would double the stack of each connection.
	usualTexts = 512
)

// writer collects the texts of one record, so that they take one allocation and do
// not keep the message itself alive.
type writer struct {
	buf       []byte
	anonymous bool
}

// personal adds a text that is or may hold personal data.
func (w *writer) personal(s string) span {
	if w.anonymous || s == "" {
		return span{}
	}
	from := len(w.buf)
	w.buf = append(w.buf, cut(s, maxText)...)
	return span{uint16(from), uint16(len(w.buf))}
}

func (w *writer) err(err error) span {
	if err == nil || w.anonymous {
		return span{}
	}
	return w.personal(err.Error())
}

// cut cuts s to at most most octets. A cut text ends in "...".
func cut(s string, most int) string {
	const ellipsis = "..."
	if len(s) <= most {
		return s
	}
	end := most - len(ellipsis)
	for i := 0; i < utf8.UTFMax-1 && !utf8.RuneStart(s[end]); i++ {
		end--
	}
	return s[:end] + ellipsis
}

// newRecord returns what is kept of v. If anonymous, it has no personal data.
func newRecord(v *policy.Verdict, anonymous bool) record {
	w := writer{buf: make([]byte, 0, usualTexts), anonymous: anonymous}
	r := record{at: v.At, took: v.Took, wait: v.EndOfMessage, forged: v.Forged(), harmless: v.HarmlessRemoved, skip: skips.position(string(v.Skip))}
	if !anonymous {
		r.client = v.Envelope.ClientIP.Unmap().WithZone("")
	}
	r.queueID = w.personal(v.QueueID)
	r.clientName = w.personal(v.Envelope.ClientName)
	r.helo = w.personal(v.Envelope.Helo)
	r.mailFrom = w.personal(v.Envelope.MailFrom)
	if v.Skip == policy.NotSkipped {
		r.keepResults(&w, v)
	} else {
		r.keepSigning(&w, &v.Signing)
		if v.DKIMOnly != nil {
			r.keepDKIM(&w, v.DKIMOnly.DKIM)
		}
	}
	if v.Skip == policy.NotSkipped || v.Skip == policy.ByOverride || v.Decision.Reply != (policy.Reply{}) {
		r.keepDecision(&w, &v.Decision)
	}
	r.text = string(w.buf)
	return r
}

// keepResults keeps the results of a verified message.
func (r *record) keepResults(w *writer, v *policy.Verdict) {
	res := v.Result
	r.noted = true
	r.author, r.authorErr = w.personal(res.DMARCDomain()), w.err(res.Author.Err)
	r.authors = len(res.Author.Domains)
	r.keepDKIM(w, res.DKIM)
	r.spf = spfResult(w, &res.SPF)
	if res.Helo != nil {
		r.heloSPF = spfResult(w, res.Helo)
	}
	r.dmarc = result(methodDMARC, string(res.DMARC.Status), string(res.DMARC.Reason))
	r.dmarc.text = w.err(res.DMARC.Err)
	if p := res.IPRev; p != nil {
		r.iprev = result(methodIPRev, string(p.Status), string(p.Reason))
		r.iprev.domain, r.iprev.text = w.personal(p.Name), w.err(p.Err)
	}
	if res.ARC.Status != "" {
		r.arc = result(methodARC, string(res.ARC.Status), string(res.ARC.Reason))
		r.arc.text = w.err(res.ARC.Err)
		if newest := res.ARC.Chain.Newest(); newest != nil {
			r.arc.domain, r.arc.selector = w.personal(newest.Seal.Domain), w.personal(newest.Seal.Selector)
		}
	}
	r.sealed, r.unsealed = v.Seal.Done, w.err(v.Seal.Err)
}

// keepDKIM keeps the result of each signature, as far as there is room.
func (r *record) keepDKIM(w *writer, results []dkim.Result) {
	r.signed = len(results)
	if r.signed == 0 {
		r.dkim[0] = result(methodDKIM, string(dkim.None), "")
	}
	for i := range min(r.signed, maxSignatures) {
		d := &results[i]
		m := result(methodDKIM, string(d.Status), string(d.Reason))
		m.text = w.err(d.Err)
		if s := d.Signature; s != nil {
			m.domain, m.selector = w.personal(s.Domain), w.personal(s.Selector)
		}
		r.dkim[i] = m
	}
}

func result(m int, status, reason string) method {
	return method{used: true, status: methods[m].statuses.position(status), reason: methods[m].reasons.position(reason)}
}

func spfResult(w *writer, s *spf.Result) method {
	m := result(methodSPF, string(s.Status), string(s.Reason))
	if !w.anonymous {
		m.domain, m.text = w.personal(s.Domain), w.personal(s.Text())
	}
	return m
}

// keepSigning keeps whether we signed a message of our own users.
func (r *record) keepSigning(w *writer, s *policy.Signing) {
	r.unsigned = w.err(s.Err)
	if s.Err == nil && len(s.Selectors) > 0 {
		r.ours, r.signing = true, w.personal(s.Domain)
	}
}

// keepDecision keeps what was done with the message and why.
func (r *record) keepDecision(w *writer, d *policy.Decision) {
	r.decision = decision{
		disposition: dispositions.position(string(d.Disposition)),
		intended:    dispositions.position(string(d.Intended)),
		reason:      reasons.position(string(d.Reason)),
		override:    overrides.position(string(d.Override.Type)),
		hasReason:   d.Reason != policy.NoReason,
		overridden:  d.Override.Type != policy.NotOverridden,
		replyCode:   d.Reply.Code,
		replyStatus: w.personal(d.Reply.Status),
		replyText:   w.personal(d.Reply.Text),
		detail:      w.personal(d.Override.Detail),
	}
}
