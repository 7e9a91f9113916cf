package mta_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/d--j/go-milter"

	"authmilter/test/mta"
)

// session is what an MTA showed, over one connection, to a milter that changes
// nothing except that it inserts one field.
type session struct {
	events []string
	fields []string // name and value, quoted
	raw    []string // fields as in a message, without the last CRLF
	body   []byte
	macros []string // "name=value", of the macros with the paths that the MTA means
}

// insertedValue is the value of the field that the recording milter inserts.
const insertedValue = " first;\n\tsecond"

// recording hands out the sessions of a recording milter as they end.
type recording chan *session

// serveRecorder serves a recording milter until the test ends, and returns its
// port on loopback.
func serveRecorder(t *testing.T) (recording, int) {
	t.Helper()
	ended := make(recording, 1000)
	s := milter.NewServer(
		milter.WithMilter(func() milter.Milter { return &recorder{ended: ended} }),
		milter.WithActions(milter.OptAddHeader),
		milter.WithProtocol(milter.OptHeaderLeadingSpace),
		milter.WithMacroRequest(milter.StageMail, []milter.MacroName{milter.MacroQueueId, milter.MacroAuthAuthen, milter.MacroMailAddr}),
		milter.WithMacroRequest(milter.StageRcpt, []milter.MacroName{milter.MacroQueueId, milter.MacroRcptAddr}),
	)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return ended, l.Addr().(*net.TCPAddr).Port
}

// next returns the next session of a client. It drops sessions
// from the rig's own address, from which it checks whether the MTA is up and on
// which every connection to Postfix begins, and sessions of tests that failed.
func (r recording) next(t *testing.T, c mta.Client) *session {
	t.Helper()
	for end := time.After(3 * time.Minute); ; {
		select {
		case s := <-r:
			if strings.HasSuffix(s.events[0], " "+c.Addr.String()) {
				return s
			}
		case <-end:
			t.Fatal("the milter session does not end")
		}
	}
}

// strangers counts the clients that stranger made.
var strangers atomic.Uint32

// stranger returns a client with an address of its own. So a session that a failed
// test leaves behind is not taken for a session of the next test.
func stranger() mta.Client {
	n := strangers.Add(1)
	return mta.Client{
		Addr: netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}),
		Name: "out.example.com", Helo: "helo.example.com",
	}
}

// recorder implements [milter.Milter].
type recorder struct {
	session
	ended recording
}

func (c *recorder) event(format string, args ...any) (*milter.Response, error) {
	c.events = append(c.events, fmt.Sprintf(format, args...))
	return milter.RespContinue, nil
}

func (c *recorder) NewConnection(milter.Modifier) error { return nil }

func (c *recorder) Connect(host, family string, _ uint16, addr string, _ milter.Modifier) (*milter.Response, error) {
	return c.event("CONNECT %s %s %s", host, family, addr)
}

func (c *recorder) Helo(name string, _ milter.Modifier) (*milter.Response, error) {
	return c.event("HELO %s", name)
}

func (c *recorder) MailFrom(from, args string, m milter.Modifier) (*milter.Response, error) {
	c.note(milter.MacroMailAddr, m)
	return c.event("MAIL <%s> %q login=%q", from, args, m.Get(milter.MacroAuthAuthen))
}

func (c *recorder) RcptTo(to, _ string, m milter.Modifier) (*milter.Response, error) {
	c.note(milter.MacroRcptAddr, m)
	_, mailbox, _ := strings.Cut(to, ".") // after the message's number
	_, known := m.GetEx(milter.MacroQueueId)
	return c.event("RCPT <%s> queue id: %t", mailbox, known)
}

func (c *recorder) Data(m milter.Modifier) (*milter.Response, error) {
	_, known := m.GetEx(milter.MacroQueueId)
	return c.event("DATA queue id: %t", known)
}

func (c *recorder) Header(name, value string, _ milter.Modifier) (*milter.Response, error) {
	c.raw = append(c.raw, name+":"+strings.ReplaceAll(value, "\n", "\r\n"))
	c.fields = append(c.fields, fmt.Sprintf("%q %q", name, value))
	return milter.RespContinue, nil
}

func (c *recorder) Headers(milter.Modifier) (*milter.Response, error) { return c.event("EOH") }

func (c *recorder) BodyChunk(chunk []byte, _ milter.Modifier) (*milter.Response, error) {
	c.body = append(c.body, chunk...)
	return c.event("BODY %d", len(chunk))
}

func (c *recorder) EndOfMessage(m milter.Modifier) (*milter.Response, error) {
	if err := m.InsertHeader(0, "X-Inserted", insertedValue); err != nil {
		return nil, err
	}
	_, _ = c.event("EOM")
	return milter.RespAccept, nil
}

func (c *recorder) Abort(milter.Modifier) error {
	_, err := c.event("ABORT")
	return err
}

func (c *recorder) Unknown(command string, _ milter.Modifier) (*milter.Response, error) {
	return c.event("UNKNOWN %s", command)
}

func (c *recorder) Cleanup(milter.Modifier) {
	if len(c.events) > 0 { // a connection that ended before CONNECT says nothing
		c.ended <- &c.session
	}
}
