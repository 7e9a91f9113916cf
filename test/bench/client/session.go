package client

import (
	"fmt"
	"strings"
	"time"

	"authmilter/test/bench/corpus"
	"authmilter/verify/message"
)

// Outcome is what became of one message.
type Outcome struct {
	// Wait is how long the client waited after the last octet, from sending the
	// end of the message to the final answer. It is the sum if there are
	// several milters.
	Wait time.Duration
	// Whole is the time from the first header field to the final answer. Some
	// milters keep the client waiting before the end.
	Whole time.Duration
	Got   corpus.Verdict
}

// session is an SMTP session as its milters see it.
type session struct {
	milters []*conn
	// pace is how long a body takes to arrive; 0 means at once.
	pace time.Duration
	buf  []byte
}

// open connects to all milters and sends them the data of the client.
func open(addresses []string, s *corpus.Session) (*session, error) {
	own := &session{}
	for _, address := range addresses {
		c, err := dial(address)
		if err != nil {
			own.close()
			return nil, err
		}
		own.milters = append(own.milters, c)
		if err := greet(c, s); err != nil {
			own.close()
			return nil, fmt.Errorf("%s: %w", address, err)
		}
	}
	return own, nil
}

func greet(c *conn, s *corpus.Session) error {
	if err := c.macros('C', "j\x00mx.rcpt.example\x00{client_addr}\x00"+s.ClientIP+"\x00{client_name}\x00"+s.ClientName+
		"\x00{client_port}\x0043210\x00{client_ptr}\x00"+s.ClientName+"\x00{daemon_addr}\x00192.0.2.25\x00{daemon_name}\x00mx\x00"); err != nil {
		return err
	}
	if err := c.event('C', noConnect, noConnectReply, []byte(s.ClientName+"\x004\xa8\xca"+s.ClientIP+"\x00")); err != nil {
		return err
	}
	if err := c.macros('H', "{tls_version}\x00TLSv1.3\x00{cipher}\x00TLS_AES_256_GCM_SHA384\x00{cipher_bits}\x00256\x00"); err != nil {
		return err
	}
	return c.event('H', noHelo, noHeloReply, []byte(s.Helo+"\x00"))
}

func (s *session) close() {
	for _, c := range s.milters {
		if c.send('Q') == nil {
			_ = c.flush() // a milter that is gone needs no QUIT
		}
		c.Close()
	}
}

// deliver passes a message through the milters. As Postfix does, it sends the
// envelope to all of them first, and then the message to one after another,
// each with the header as the one before left it.
func (s *session) deliver(m *corpus.Message) (Outcome, error) {
	var o Outcome
	for _, c := range s.milters {
		if err := s.envelope(c, m); err != nil {
			return o, err
		}
	}
	begun := time.Now()
	header := m.Header
	for _, c := range s.milters {
		edits, wait, err := s.message(c, m, header)
		if err != nil {
			return o, err
		}
		o.Wait += wait
		header = apply(header, edits)
	}
	o.Whole = time.Since(begun)
	o.Got = verdict(header)
	return o, nil
}

func (s *session) envelope(c *conn, m *corpus.Message) error {
	if err := c.macros('M', "i\x00"+m.ID+"\x00{mail_addr}\x00"+m.MailFrom+"\x00{mail_host}\x00relay\x00{mail_mailer}\x00smtp\x00"); err != nil {
		return err
	}
	if err := c.event('M', noMail, noMailReply, []byte("<"+m.MailFrom+">\x00")); err != nil {
		return err
	}
	if err := c.macros('R', "i\x00"+m.ID+"\x00{rcpt_addr}\x00"+m.RcptTo+"\x00{rcpt_host}\x00rcpt.example\x00{rcpt_mailer}\x00local\x00"); err != nil {
		return err
	}
	if err := c.event('R', noRcpt, noRcptReply, []byte("<"+m.RcptTo+">\x00")); err != nil {
		return err
	}
	if err := c.macros('T', "i\x00"+m.ID+"\x00"); err != nil {
		return err
	}
	return c.event('T', noData, noDataReply)
}

func (s *session) message(c *conn, m *corpus.Message, header message.Header) ([]edit, time.Duration, error) {
	if c.protocol&noHeader == 0 {
		for _, f := range header {
			s.buf = appendField(s.buf[:0], f, c.protocol&leadingSpace != 0)
			if err := c.event('L', noHeader, noHeaderReply, s.buf); err != nil {
				return nil, 0, err
			}
		}
	}
	if err := c.event('N', noEndHeader, noEndHeaderReply); err != nil {
		return nil, 0, err
	}
	if c.protocol&noBody == 0 {
		if err := s.body(c, m.Body); err != nil {
			return nil, 0, err
		}
	}
	if err := c.macros('E', "i\x00"+m.ID+"\x00"); err != nil {
		return nil, 0, err
	}
	if err := c.send('E'); err != nil {
		return nil, 0, err
	}
	begun := time.Now()
	edits, err := s.end(c)
	return edits, time.Since(begun), err
}

// appendField appends a field as Postfix sends it, with a single LF for each
// line end.
func appendField(dst []byte, f message.Field, leadingSpace bool) []byte {
	raw := f.Raw
	if !leadingSpace {
		raw = strings.TrimPrefix(raw, " ")
	}
	dst = append(dst, f.Name...)
	dst = append(dst, 0)
	for {
		line, rest, more := strings.Cut(raw, "\r\n")
		dst = append(dst, line...)
		if !more {
			return append(dst, 0)
		}
		dst = append(dst, '\n')
		raw = rest
	}
}

func (s *session) body(c *conn, body []byte) error {
	begun := time.Now()
	size, pause := chunkSize, time.Duration(0)
	if s.pace > 0 {
		const steps = 8
		size, pause = min(size, len(body)/steps+1), s.pace/steps
		// The client keeps sending even what the milter does not want.
		defer func() { time.Sleep(s.pace - time.Since(begun)) }()
	}
	for len(body) > 0 {
		n := min(len(body), size)
		if err := c.send('B', body[:n]); err != nil {
			return err
		}
		body = body[n:]
		if pause > 0 {
			if err := c.flush(); err != nil {
				return err
			}
			time.Sleep(pause)
		}
		if c.protocol&noBodyReply != 0 {
			continue
		}
		reply, _, err := c.receive()
		switch {
		case err != nil:
			return err
		case reply == 's':
			return nil
		case reply != 'c':
			return fmt.Errorf("reply %q to the body", reply)
		}
	}
	return nil
}

// end returns the edits with which a milter answers the end of a message.
func (s *session) end(c *conn) ([]edit, error) {
	var edits []edit
	for {
		reply, payload, err := c.receive()
		if err != nil {
			return nil, err
		}
		switch reply {
		case 'c', 'a':
			return edits, nil
		case 'p':
		case 'i', 'h', 'm':
			e, err := parseEdit(reply, payload)
			if err != nil {
				return nil, err
			}
			edits = append(edits, e)
		default:
			return nil, fmt.Errorf("reply %q to the end of the message", reply)
		}
	}
}
