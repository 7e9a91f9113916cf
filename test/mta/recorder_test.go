package mta_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/d--j/go-milter"
)

// recording is what an MTA showed to a milter that changes nothing but inserts
// one field.
type recording struct {
	mu     sync.Mutex
	events []string
	fields []string // name and value, quoted
	body   []byte
}

// inserted is the value of the field that the recording milter inserts.
const inserted = " first;\n\tsecond"

// serveRecorder serves a recording milter until the test ends, and returns its
// address in Postfix's notation.
func serveRecorder(t *testing.T) (*recording, string) {
	t.Helper()
	r := &recording{}
	s := milter.NewServer(
		milter.WithMilter(func() milter.Milter { return recorder{r: r} }),
		milter.WithActions(milter.OptAddHeader),
		milter.WithProtocol(milter.OptHeaderLeadingSpace),
	)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return r, "inet:" + l.Addr().String()
}

// take returns what was recorded since it was last called.
func (r *recording) take() (events, fields []string, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events, fields, body = r.events, r.fields, r.body
	r.events, r.fields, r.body = nil, nil, nil
	return events, fields, body
}

func (r *recording) event(format string, args ...any) (*milter.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
	return milter.RespContinue, nil
}

// recorder implements [milter.Milter].
type recorder struct{ r *recording }

func (c recorder) NewConnection(milter.Modifier) error { return nil }

func (c recorder) Connect(host, family string, _ uint16, addr string, _ milter.Modifier) (*milter.Response, error) {
	return c.r.event("CONNECT %s %s %s", host, family, addr)
}

func (c recorder) Helo(name string, _ milter.Modifier) (*milter.Response, error) {
	return c.r.event("HELO %s", name)
}

func (c recorder) MailFrom(from, args string, m milter.Modifier) (*milter.Response, error) {
	return c.r.event("MAIL <%s> %q login=%q", from, args, m.Get(milter.MacroAuthAuthen))
}

func (c recorder) RcptTo(to, _ string, m milter.Modifier) (*milter.Response, error) {
	_, known := m.GetEx(milter.MacroQueueId)
	return c.r.event("RCPT <%s> queue id: %t", to, known)
}

func (c recorder) Data(m milter.Modifier) (*milter.Response, error) {
	_, known := m.GetEx(milter.MacroQueueId)
	return c.r.event("DATA queue id: %t", known)
}

func (c recorder) Header(name, value string, _ milter.Modifier) (*milter.Response, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.fields = append(c.r.fields, fmt.Sprintf("%q %q", name, value))
	return milter.RespContinue, nil
}

func (c recorder) Headers(milter.Modifier) (*milter.Response, error) { return c.r.event("EOH") }

func (c recorder) BodyChunk(chunk []byte, _ milter.Modifier) (*milter.Response, error) {
	c.r.mu.Lock()
	c.r.body = append(c.r.body, chunk...)
	c.r.mu.Unlock()
	return c.r.event("BODY %d", len(chunk))
}

func (c recorder) EndOfMessage(m milter.Modifier) (*milter.Response, error) {
	if err := m.InsertHeader(0, "X-Inserted", inserted); err != nil {
		return nil, err
	}
	_, _ = c.r.event("EOM")
	return milter.RespAccept, nil
}

func (c recorder) Abort(milter.Modifier) error {
	_, err := c.r.event("ABORT")
	return err
}

func (c recorder) Unknown(command string, _ milter.Modifier) (*milter.Response, error) {
	return c.r.event("UNKNOWN %s", command)
}

func (c recorder) Cleanup(milter.Modifier) {}
