package corpus

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"authmilter/verify/message"
)

// session makes a session of a client that sends for d.
func (m *maker) session(d *domain) *Session {
	host := d.ownIP
	switch m.rand.IntN(10) {
	case 0:
		host = d.foreignIP
	case 1, 2, 3:
		host = d.includedIP
	case 4, 5:
		host = d.deepIP
	}
	ip := host(1 + m.rand.IntN(30))
	name := fmt.Sprintf("out%s.%s", ip[strings.LastIndexByte(ip, '.')+1:], d.name)
	return &Session{ClientIP: ip, ClientName: name, Helo: name}
}

// message makes message number i from d, with a body of about size octets.
func (m *maker) message(i, size int, c class, d *domain, s *Session) (*Message, error) {
	msg := &Message{
		ID:       fmt.Sprintf("4Bench%06d", i),
		MailFrom: fmt.Sprintf("bounce-%d@%s", m.rand.IntN(1e6), one(m.rand, d.name, d.name, bounces+d.name)),
		RcptTo:   fmt.Sprintf("user%d@rcpt.example", m.rand.IntN(500)),
	}
	k := kindOf(size, m.rand)
	msg.Body = body(size, k, m.rand)
	var signers []signer
	if m.Sound || c != unsigned {
		signers = m.signers(d)
	}
	fields := m.Fields
	if fields == 0 {
		fields = 25 + m.rand.IntN(11)
	}
	msg.Header = m.header(i, k, d, msg, max(0, fields-len(signers)))
	for _, s := range signers {
		if err := s.sign(msg); err != nil {
			return nil, err
		}
	}
	spoilt := len(signers) > 0 && !m.Sound && c == broken
	if spoilt {
		m.spoil(msg)
	}
	msg.Want = verdict(d, s, msg, signers, spoilt)
	if m.rand.Float64() < m.ARC {
		msg.Want.ARC = "pass"
		return msg, m.seal(msg, 1+m.rand.IntN(3))
	}
	return msg, nil
}

// signers returns how a message from d is signed.
func (m *maker) signers(d *domain) []signer {
	n := m.Signatures
	if n == 0 {
		switch p := m.rand.Float64(); {
		case p < 0.58:
			n = 1
		case p < 0.95:
			n = 2
		default:
			n = 3
		}
	}
	var all []signer
	for i := range n {
		s := signer{key: d.key, domain: d.name, selector: selector, header: message.Relaxed, body: message.Relaxed}
		switch p := m.rand.Float64(); {
		case p < 0.08:
			s.body = message.Simple
		case p < 0.15:
			s.header, s.body = message.Simple, message.Simple
		}
		switch {
		case i == 1 && m.rand.IntN(6) == 0:
			s.key, s.selector = m.keys.ed25519, selectorEd
		case i > 0:
			relay := m.rand.IntN(relays)
			s.key, s.domain = m.relayKey(relay), relayName(relay)
		}
		all = append(all, s)
	}
	return all
}

// header makes n fields, in the order of a message that has come a long way:
// trace fields are on top.
func (m *maker) header(i int, k kind, d *domain, msg *Message, n int) message.Header {
	date := signedAt.Add(time.Duration(i) * time.Second).Format(time.RFC1123Z)
	contentType := [...]string{
		plainText:  " text/plain; charset=utf-8",
		html:       " text/html; charset=utf-8",
		attachment: " multipart/mixed;\r\n\tboundary=\"=_part\"",
	}[k]
	last := message.Header{
		{Name: "Date", Raw: " " + date},
		{Name: "From", Raw: fmt.Sprintf(" \"%s\" <%s@%s>", m.phrase(2), one(m.rand, "news", "info", "service"), d.author())},
		{Name: "To", Raw: " <" + msg.RcptTo + ">"},
		{Name: "Subject", Raw: " " + m.phrase(6) + "\r\n " + m.phrase(3)},
		{Name: "Message-ID", Raw: fmt.Sprintf(" <%d.%d@%s>", i, m.rand.Uint32(), d.name)},
		{Name: "MIME-Version", Raw: " 1.0"},
		{Name: "Content-Type", Raw: contentType},
		{Name: "List-Unsubscribe", Raw: fmt.Sprintf(" <https://%s/unsubscribe?u=%x>,\r\n\t<mailto:leave@%s>", d.name, m.rand.Uint64(), d.name)},
	}
	var h message.Header
	for j := range max(0, n-len(last)) {
		switch {
		case j < 5:
			h = append(h, message.Field{Name: "Received", Raw: fmt.Sprintf(
				" from hop%d.%s (hop%d.%s [%s])\r\n\tby relay.%s (MTA) with ESMTPS id %X\r\n\tfor <%s>; %s",
				j, d.name, j, d.name, d.ownIP(40+j), d.name, m.rand.Uint64(), msg.RcptTo, date)})
		case j < 7:
			h = append(h, message.Field{Name: "X-Mailer-Info", Raw: " " + m.phrase(25)})
		default:
			h = append(h, message.Field{Name: fmt.Sprintf("X-Field-%d", j), Raw: " " + m.phrase(4+m.rand.IntN(5))})
		}
	}
	return append(h, last...)
}

// phrase returns n words.
func (m *maker) phrase(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = words[m.rand.IntN(len(words))]
	}
	return strings.Join(all, " ")
}

// spoil changes something that is signed: half of the time a word in the body,
// otherwise the subject.
func (m *maker) spoil(msg *Message) {
	if m.rand.IntN(2) == 0 {
		at := bytes.IndexByte(msg.Body[len(msg.Body)/2:], 'e') + len(msg.Body)/2
		msg.Body[at] = 'x'
		return
	}
	for i := range msg.Header {
		if msg.Header[i].Name == "Subject" {
			msg.Header[i].Raw = " [list]" + msg.Header[i].Raw
		}
	}
}

// verdict returns what a verifier must find out about msg.
func verdict(d *domain, s *Session, msg *Message, signers []signer, spoilt bool) Verdict {
	foreign := d.foreign(s.ClientIP)
	v := Verdict{DKIM: "pass", SPF: d.spfResult(foreign), DMARC: "fail", ARC: "none"}
	switch {
	case len(signers) == 0:
		v.DKIM = "none"
	case spoilt:
		v.DKIM = "fail"
	}
	_, sender, _ := strings.Cut(msg.MailFrom, "@")
	switch {
	case d.dmarc == "":
		v.DMARC = "none"
	case v.SPF == "pass" && d.aligned(sender):
		v.DMARC = "pass"
	case v.DKIM == "pass":
		for _, s := range signers {
			if d.aligned(s.domain) {
				v.DMARC = "pass"
			}
		}
	}
	return v
}

// aligned reports whether name is aligned with the author domain
// (RFC 9989 section 4.4).
func (d *domain) aligned(name string) bool {
	if d.strict {
		return name == d.author()
	}
	return name == d.name || strings.HasSuffix(name, "."+d.name)
}
