package policy

import (
	"fmt"
	"strings"

	"authmilter/verify/clean"
)

// Reply is an SMTP reply (RFC 5321 section 4.2). The zero value means no reply.
type Reply struct {
	// Code is the reply code and Status the enhanced status code (RFC 3463) of
	// the same class.
	Code   int
	Status string
	// Text follows them, in printable ASCII, on one line.
	Text string
}

// maxReplyText is the maximum length of the text of a reply, in octets. With its
// codes and a CRLF it fits into a line (RFC 5321 section 4.5.3.1.5), even though
// each percent sign is doubled on its way to the MTA.
const maxReplyText = 240

// DefaultStatus and DefaultText are the default reply to a DMARC rejection, in the
// words of RFC 9989 section 7.2.
const (
	DefaultStatus = "5.7.1"
	DefaultText   = "Email rejected per DMARC policy for {author_domain}"
)

// ReplyTemplate is the reply to DMARC rejections. The zero value stands for the
// defaults.
type ReplyTemplate struct {
	// Status is an enhanced status code of class 5.
	Status string
	// Text can contain placeholders.
	Text string
}

// placeholders are the placeholders of a [ReplyTemplate] and their values, "" if
// not known.
var placeholders = []struct {
	name  string
	value func(*Message) string
}{
	{"{author_domain}", func(m *Message) string { return m.Result.DMARCDomain() }},
	{"{client}", func(m *Message) string { return m.Envelope.Client() }},
	{"{mail_from}", func(m *Message) string { return m.Envelope.MailFrom }},
	{"{policy}", func(m *Message) string { return string(requested(&m.Result.DMARC)) }},
}

// Check returns an error if the template is invalid.
func (t ReplyTemplate) Check() error {
	text := t.Text
	for _, p := range placeholders {
		text = strings.ReplaceAll(text, p.name, "")
	}
	switch {
	case strings.ContainsAny(text, "{}"):
		return fmt.Errorf("unknown placeholder (known: %s)", placeholderNames())
	case ascii(t.Text) != t.Text:
		return fmt.Errorf("must be a single line of printable ASCII")
	case len(t.Text) > maxReplyText:
		return fmt.Errorf("longer than %d characters", maxReplyText)
	}
	return nil
}

func placeholderNames() string {
	var names []string
	for _, p := range placeholders {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// expand returns the text for m.
func (t ReplyTemplate) expand(m *Message) string {
	text := t.Text
	if text == "" {
		text = DefaultText
	}
	// One pass, so that values are not expanded in turn.
	var pairs []string
	for _, p := range placeholders {
		pairs = append(pairs, p.name, p.value(m))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// reply returns the reply to the client for d, which f led to.
func (r *Rules) reply(d *Decision, f finding, m *Message) Reply {
	var reply Reply
	switch {
	case d.Disposition == Defer:
		reply = Reply{Code: 451, Status: "4." + f.code, Text: f.text}
	case f.reason != ReasonDMARC:
		reply = Reply{Code: 550, Status: "5." + f.code, Text: f.text}
	case d.Override.Type == LocalPolicy || d.Override.Type == MailingList:
		// The domain did not ask for this.
		reply = Reply{Code: 550, Status: DefaultStatus, Text: "Email rejected by local policy: DMARC failed for " + m.Result.DMARCDomain()}
	default:
		reply = Reply{Code: 550, Status: r.Reply.Status, Text: r.Reply.expand(m)}
		if reply.Status == "" {
			reply.Status = DefaultStatus
		}
	}
	reply.Text = ascii(reply.Text)
	return reply
}

// ascii returns s as it can appear in a reply: cleaned, in ASCII, and at most
// maxReplyText octets long.
func ascii(s string) string {
	b := []byte(clean.Text(s, maxReplyText))
	kept := b[:0]
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] < 0x80:
			kept = append(kept, b[i])
		case b[i] >= 0xc0: // the first octet of a character
			kept = append(kept, '?')
		}
	}
	return string(kept)
}

// quarantineText returns why a message is quarantined.
func quarantineText(d *Decision, m *Message) string {
	switch {
	case d.Override.Type == LocalPolicy || d.Override.Type == MailingList:
		return ascii(d.Override.Detail)
	case d.Reason == ReasonDMARC:
		return ascii("DMARC policy of " + m.Result.DMARCDomain())
	}
	return ascii("local policy: " + string(d.Reason))
}
