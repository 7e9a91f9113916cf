package mta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Times within which an MTA must start, stop and pass a message on. They leave
// room for a machine that is busy with something else.
const (
	startTime   = 2 * time.Minute
	stopTime    = time.Minute
	deliverTime = 3 * time.Minute
	// holdTime is how long a message is waited for before it is looked for in
	// the quarantine, again and again.
	holdTime = time.Second
)

// relay is what the MTAs in this package share: a program that runs as our
// child, and passes what it accepts on to a sink.
type relay struct {
	// program is the name of the MTA's program.
	program string
	// connect opens an SMTP session as a client, and says HELO. The error is a
	// *refusal if the MTA does not like the client.
	connect func(Client) (*smtpClient, error)
	// received matches the Received field that the MTA writes for a message.
	received func(Client, Message) *regexp.Regexp
	// holds reports whether the MTA has quarantined a message for a recipient.
	holds func(t testing.TB, to string) bool
	// log returns what the MTA logged so far.
	log func() string

	sink *Sink
	sent atomic.Int64
}

// start starts the MTA as our child, which ends when we do, and waits until it
// greets connections made by dial. It is stopped at the end of the test, which
// shows its log if the test failed.
func (r *relay) start(t testing.TB, cmd *exec.Cmd, dial func() (net.Conn, error)) {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true // as Postfix requires
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = stopTime
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", r.program, err)
	}
	ended := make(chan struct{})
	var exit error
	go func() {
		exit = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopTime):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Errorf("%s did not stop within %v", r.program, stopTime)
		}
		if t.Failed() {
			t.Logf("%s's log:\n%s", r.program, r.log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	for !greets(dial) {
		select {
		case <-ended:
			t.Fatalf("%s ended while starting: %v\n%s", r.program, exit, output.Bytes())
		case <-ctx.Done():
			t.Fatalf("%s does not greet", r.program)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// greets reports whether an SMTP server greets a connection made by dial.
func greets(dial func() (net.Conn, error)) bool {
	c, err := dial()
	if err != nil {
		return false
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(startTime)) != nil {
		return false
	}
	greeting := make([]byte, 4)
	_, err = io.ReadFull(c, greeting)
	return err == nil && string(greeting) == "220 "
}

// Deliver implements [MTA]. Each recipient's mailbox gets a number, which
// distinguishes the messages in a run.
func (r *relay) Deliver(t testing.TB, c Client, messages ...Message) []Delivery {
	t.Helper()
	deliveries := make([]Delivery, len(messages))
	s, err := r.connect(c)
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		for i := range deliveries {
			deliveries[i] = Delivery{MTA: strings.ToLower(r.program), Code: refused.code, Reply: refused.reply}
		}
		return deliveries
	}
	if err != nil {
		t.Fatalf("SMTP: %v", err)
	}
	defer s.quit()
	for i, m := range messages {
		number := fmt.Sprintf("%d.", r.sent.Add(1))
		m.To, m.RcptArg = numbered(m.To, number), strings.Replace(m.RcptArg, "#", number, 1)
		d := &deliveries[i]
		d.MTA = strings.ToLower(r.program)
		if d.Code, d.Reply, err = s.send(m); err != nil {
			t.Fatalf("SMTP: %v", err)
		}
		if d.Code >= 300 {
			continue
		}
		mail, held := r.await(t, m.To, d.Reply)
		if held {
			d.Held = true
			continue
		}
		if d.From = mail.From; mail.From != m.From && m.MailArg == "" {
			t.Errorf("%s passed a message from <%s> on as from <%s>", r.program, m.From, mail.From)
		}
		d.Args = mail.Args
		d.Top, d.Received, d.Header, d.Body = splitMail(t, mail.Data, r.received(c, m))
	}
	return deliveries
}

// numbered returns the path of a recipient whose mailbox has a number.
func numbered(to, number string) string {
	if quoted, ok := strings.CutPrefix(to, `"`); ok {
		return `"` + number + quoted
	}
	return number + to
}

// await waits for what becomes of a message that the MTA accepted: it is passed
// on, or held in the quarantine.
func (r *relay) await(t testing.TB, to, reply string) (mail Mail, held bool) {
	t.Helper()
	for end := time.Now().Add(deliverTime); ; {
		mail, err := r.sink.Wait(to, holdTime)
		if err == nil {
			return mail, false
		}
		if r.holds(t, to) {
			return Mail{}, true
		}
		if time.Now().After(end) {
			t.Fatalf("%s answered %q, but there is no message for %s after %v", r.program, reply, to, deliverTime)
		}
	}
}

// traceAddr returns an address as Received fields write it
// (RFC 5321 section 4.1.3).
func traceAddr(a netip.Addr) string {
	if a.Is6() {
		return "IPv6:" + a.String()
	}
	return a.String()
}

// splitMail splits a message at the MTA's own Received field and at the end of
// the header.
func splitMail(t testing.TB, data []byte, own *regexp.Regexp) (top, received, header, body []byte) {
	t.Helper()
	head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if ok {
		head = data[:len(head)+2]
	}
	at := own.FindAllIndex(head, -1)
	if len(at) != 1 {
		t.Fatalf("%d Received fields are the MTA's own, of the form %v, in:\n%s", len(at), own, head)
	}
	return head[:at[0][0]], head[at[0][0]:at[0][1]], head[at[0][1]:], body
}
