package mta

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// smtpTimeout bounds the time for the beginning of an SMTP session, and for each
// of its messages.
const smtpTimeout = 5 * time.Minute

// smtpClient sends exact octets, which net/smtp does not.
type smtpClient struct {
	conn net.Conn
	r    *bufio.Reader
}

// refusal is a reply other than the one expected.
type refusal struct {
	command string
	code    int
	reply   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%.60q was answered with %q", r.command, r.reply)
}

// step is a command and the reply code that it expects.
type step struct {
	command string
	code    int
}

// hello returns the greeting of c, if it says any.
func (c Client) hello() []step {
	if c.Helo == "" {
		return nil
	}
	return []step{{"EHLO " + c.Helo, 250}}
}

// openSMTP returns a client on a new connection, after the greeting and steps.
// It closes the connection if it fails.
func openSMTP(conn net.Conn, steps ...step) (*smtpClient, error) {
	s := &smtpClient{conn: conn, r: bufio.NewReader(conn)}
	err := conn.SetDeadline(time.Now().Add(smtpTimeout))
	if err == nil {
		err = s.take(append([]step{{"", 220}}, steps...)...)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// take goes through steps. The error is a *refusal if a reply has another code.
func (s *smtpClient) take(steps ...step) error {
	for _, step := range steps {
		code, reply, err := s.command(step.command)
		if err != nil {
			return err
		}
		if code != step.code {
			return &refusal{step.command, code, reply}
		}
	}
	return nil
}

// command sends a line, unless it is empty, and reads the reply to it.
func (s *smtpClient) command(line string) (code int, reply string, err error) {
	if line != "" {
		if _, err := fmt.Fprintf(s.conn, "%s\r\n", line); err != nil {
			return 0, "", err
		}
	}
	var b strings.Builder
	for {
		l, err := s.r.ReadString('\n')
		if err != nil {
			return 0, "", fmt.Errorf("after %.60q: %w", line, err)
		}
		l = strings.TrimRight(l, "\r\n")
		b.WriteString(l)
		if len(l) < 4 || l[3] != '-' {
			break
		}
		b.WriteByte('\n')
	}
	reply = b.String()
	if code, err = strconv.Atoi(reply[:min(3, len(reply))]); err != nil {
		return 0, "", fmt.Errorf("after %.60q: a reply without a code: %q", line, reply)
	}
	return code, reply, nil
}

// send sends one message, and returns the reply to its end, or the earlier
// reply that refused it.
func (s *smtpClient) send(m Message) (code int, reply string, err error) {
	if err := s.conn.SetDeadline(time.Now().Add(smtpTimeout)); err != nil {
		return 0, "", err
	}
	mail, rcpt := m.MailArg, m.RcptArg
	if mail == "" {
		mail = "<" + m.From + ">"
	}
	if rcpt == "" {
		rcpt = "<" + m.To + ">"
	}
	if m.Args != "" {
		mail += " " + m.Args
	}
	for _, line := range []string{"MAIL FROM:" + mail, "RCPT TO:" + rcpt, "DATA"} {
		if code, reply, err = s.command(line); err != nil {
			return 0, "", err
		}
		if code >= 400 {
			if _, _, err := s.command("RSET"); err != nil {
				return 0, "", err
			}
			return code, reply, nil
		}
	}
	if _, err := s.conn.Write(stuff(m.Data)); err != nil {
		return 0, "", err
	}
	return s.command(".")
}

// quit ends the session. The server may be gone already.
func (s *smtpClient) quit() {
	_, _, _ = s.command("QUIT")
	s.conn.Close()
}

// stuff doubles the dots at the start of lines (RFC 5321 section 4.5.2), and
// ends the last line if it is open.
func stuff(data []byte) []byte {
	out := make([]byte, 0, len(data)+2)
	for line := range bytes.Lines(data) {
		if line[0] == '.' {
			out = append(out, '.')
		}
		out = append(out, line...)
	}
	if len(data) > 0 && !bytes.HasSuffix(out, []byte("\r\n")) {
		out = append(out, "\r\n"...)
	}
	return out
}
